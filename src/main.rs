//! The process edge: arguments, environment, log, signals, exit codes.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use amp_sidecar::app::{App, Stage, StartError, log, sandbox};
use amp_sidecar::check;
use amp_sidecar::cli::{self, pages};
use amp_sidecar::clock::Clock;
use amp_sidecar::config::{
    self, Config, Environment, InvalidConfig, Log, LogFormat, Setting, SettingError,
};
use amp_sidecar::setup;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

/// `EX_USAGE` of sysexits.h.
const INVALID_CONFIGURATION: u8 = 64;
/// `EX_UNAVAILABLE` of sysexits.h.
const CANNOT_START: u8 = 69;

fn main() -> ExitCode {
    // Before any command resolves a name or starts a thread.
    sandbox::keep_out_libraries();
    let (arguments, foreign) = cli::translate(std::env::args_os().collect(), surroundings().env);
    let matches = match cli::command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(usage) => return print_usage(&usage, &arguments),
    };
    if let Some(mut page) = cli::short_help(&matches) {
        return match page.print_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    match matches.subcommand() {
        Some(("setup", arguments)) => return print_setup(cli::misplaced(&matches), arguments),
        Some((cli::COMPLETIONS, arguments)) => return show(&pages::completions(arguments)),
        Some((cli::MAN, arguments)) => {
            return match pages::write_man(arguments) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("amp-sidecar: cannot write the man pages: {error}");
                    ExitCode::FAILURE
                }
            };
        }
        _ => {}
    }
    let only_show = matches.subcommand_name() == Some(cli::CONFIG);
    if only_show && cli::wants_schema(&matches) {
        return show(&format!("{:#}\n", config::schema()));
    }
    let check = cli::check(&matches);
    let given = matches.clone();
    let read = move || {
        let flag = |setting: &Setting| cli::given(&matches, setting);
        Config::read_beside(&flag, &surroundings(), &foreign)
    };
    if let Some(asked) = check {
        return print_check(read(), &asked);
    }
    let config = match read() {
        Ok(config) => config,
        Err(rejected) => {
            let mut config = log_of_invalid(&given);
            if only_show {
                config.format = LogFormat::Text;
            }
            log::invalid_configuration(config, &rejected);
            return ExitCode::from(INVALID_CONFIGURATION);
        }
    };
    if only_show {
        for warning in &config.warnings {
            eprintln!("amp-sidecar: warning: {warning}");
        }
        return show(&config.to_string());
    }
    // While there is one thread: the sandbox covers only the calling thread and its children.
    let held = config.sandbox.then(|| sandbox::enter(&config));
    log::init(config.log);
    match held {
        Some(held) => held.log(),
        None => tracing::info!("sandbox is off (--sandbox off)"),
    }
    config.log_warnings();
    match runtime().map(|runtime| runtime.block_on(run(config, read))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => cannot_start(&error),
        Err(error) => cannot_start(&error),
    }
}

/// Help and version come this way too, and go to stdout.
fn print_usage(usage: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if !usage.use_stderr() {
        return match usage.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let known = cli::command().ignore_errors(true);
    let known = known.try_get_matches_from(arguments);
    let serves =
        |matches: &clap::ArgMatches| matches!(matches.subcommand_name(), None | Some(cli::RUN));
    match known
        .ok()
        .filter(serves)
        .map(|matches| log_of_invalid(&matches))
    {
        Some(config) if config.format != LogFormat::Text => {
            log::invalid_arguments(config, &usage.to_string());
        }
        _ => {
            let _unread = usage.print();
        }
    }
    ExitCode::from(INVALID_CONFIGURATION)
}

fn log_of_invalid(matches: &clap::ArgMatches) -> Log {
    Log::of_invalid(&|setting| cli::given(matches, setting), &surroundings())
}

fn print_setup(misplaced: Vec<SettingError>, arguments: &clap::ArgMatches) -> ExitCode {
    let text = runtime().map(|runtime| runtime.block_on(setup::text(misplaced, arguments)));
    match text {
        Ok(Ok(text)) => show(&text),
        Ok(Err(rejected)) => {
            eprintln!("amp-sidecar: the arguments are invalid\n{rejected}");
            ExitCode::from(INVALID_CONFIGURATION)
        }
        Err(error) => {
            eprintln!("amp-sidecar: {error}");
            ExitCode::from(CANNOT_START)
        }
    }
}

/// Exit code 1 reports what `check` found; an invalid configuration has its own.
fn print_check(config: Result<Config, InvalidConfig>, asked: &cli::Check) -> ExitCode {
    let report = match config {
        Ok(config) => {
            let prometheus = asked.prometheus.as_deref();
            match runtime() {
                Ok(runtime) => runtime.block_on(check::run(&config, &Clock::system(), prometheus)),
                Err(error) => {
                    eprintln!("amp-sidecar: {error}");
                    return ExitCode::from(CANNOT_START);
                }
            }
        }
        Err(rejected) => check::invalid(&rejected),
    };
    let text = if asked.json {
        report.json()
    } else {
        report.text(wants_colour())
    };
    match show(&text) {
        ExitCode::SUCCESS if report.is_whole() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// As <https://no-color.org> specifies: no colour if the variable is set and not empty.
#[allow(
    clippy::disallowed_methods,
    reason = "it is about the terminal, not about a setting"
)]
fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The reader of stdout may have gone, as `head` does.
fn show(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn cannot_start(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!(%error, "cannot start");
    ExitCode::from(CANNOT_START)
}

async fn run(
    config: Config,
    read: impl Fn() -> Result<Config, InvalidConfig> + Send + Sync + 'static,
) -> Result<(), StartError> {
    let file = config.file.clone();
    let app = App::start(config, Clock::system()).await?;
    let hangup = Arc::new(Notify::new());
    tokio::spawn(app.reloader().follow(file, Arc::clone(&hangup), read));
    let (stage, wanted) = watch::channel(Stage::Serving);
    tokio::spawn(async move {
        if let Err(error) = follow_signals(&stage, &hangup).await {
            tracing::error!(%error, "signals cannot be received");
            std::future::pending::<()>().await;
        }
    });
    app.run(wanted).await;
    Ok(())
}

/// The first SIGTERM or SIGINT drains, the second stops at once; SIGHUP reloads the configuration.
async fn follow_signals(stage: &watch::Sender<Stage>, hangup: &Notify) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut wanted = [Stage::Draining, Stage::Stopping].into_iter();
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {
                hangup.notify_one();
                continue;
            }
        }
        if let Some(stage_now) = wanted.next() {
            stage.send_replace(stage_now);
        }
    }
}

/// One thread on one processor: a second would only cost wake-ups.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match processors {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .worker_threads(processors.min(4))
        .max_blocking_threads(32)
        .enable_all()
        .build()
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn surroundings() -> Environment<'static> {
    const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    static POD: OnceLock<Option<String>> = OnceLock::new();
    Environment {
        env: &|name| std::env::var(name).ok(),
        variables: variables(),
        memory_limit: memory_limit(),
        // A pod's namespace never changes, and the sandbox would not let a reload read it.
        pod_namespace: POD
            .get_or_init(|| std::fs::read_to_string(NAMESPACE).ok())
            .as_ref()
            .map(|text| text.trim().to_owned()),
        stdout_is_terminal: std::io::stdout().is_terminal(),
    }
}

/// The names of all variables, for those that are misspelt; values are read by name.
fn variables() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}

/// From cgroup v2, else v1; both show a huge number or a word if there is no limit.
fn memory_limit() -> Option<u64> {
    [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
}
