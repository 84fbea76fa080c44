//! What `/readyz` says.
//!
//! In: the same as for `/status.json`. Out: whether the sidecar is ready, and why not, or what is refused although it is. Ready means
//! able to serve one workspace: of several, one that lacks something must not stop the others. A refusal of AMP does not make it
//! unready, because a probe that fails would take Prometheus out of its Service, too; the body says it.

use std::fmt;
use std::sync::Arc;

use super::input::StatusInput;
use super::state::{HealthLevel, NotStored};
use crate::remedies::running::WORKSPACE_NOT_CONFIGURED;
use crate::workspace::ActiveWorkspace;

/// Whether it is ready, and the text.
#[must_use]
pub fn readiness(input: &StatusInput<'_>) -> (bool, String) {
    if input.draining {
        return (false, "not ready: draining\n".to_owned());
    }
    if let ([], Some(by_path)) = (input.workspaces, &input.config.by_path) {
        return match by_path.allowed {
            true => (
                true,
                "ok, but no sender has named a workspace yet\n".to_owned(),
            ),
            false => (
                false,
                format!(
                    "not ready: no workspace is configured; {}\n",
                    WORKSPACE_NOT_CONFIGURED.remedy
                ),
            ),
        };
    }
    let incidents = input.telemetry.incidents().recent();
    let missing: Vec<_> = input
        .workspaces
        .iter()
        .map(|active| active.missing())
        .collect();
    let is_ready = missing.iter().any(Option::is_none);
    let trouble = |active: &Arc<ActiveWorkspace>| {
        let health = input.health(active, &incidents);
        let bad = health.level >= HealthLevel::Degraded;
        match health.not_stored {
            Some(not_stored) => Some(not_stored.to_string()),
            None => bad.then(|| within_a_sentence(health.headline)),
        }
        .map(|first| {
            let below = [("reason", health.why), ("what to do", health.remedy)];
            let below = below.into_iter().filter(|(_, text)| !text.is_empty());
            below.fold(first, |text, (name, line)| {
                format!("{text}\n{name}: {line}")
            })
        })
    };
    let lines = input.workspaces.iter().zip(missing);
    let text = match input.workspaces {
        [only] => lines
            .map(|(_, missing)| match missing {
                Some(missing) => format!("not ready: {missing}\n"),
                None => match trouble(only) {
                    Some(trouble) => format!("ok, but {trouble}\n"),
                    None => "ok\n".to_owned(),
                },
            })
            .collect(),
        _ => {
            let ok = if is_ready { "ok\n" } else { "" };
            let of = |(active, missing): (&Arc<ActiveWorkspace>, Option<String>)| {
                let name = &active.config.name;
                match missing {
                    Some(missing) => Some(format!("workspace {name} is not ready: {missing}\n")),
                    None => Some(format!("workspace {name}: {}\n", trouble(active)?)),
                }
            };
            std::iter::once(ok.to_owned())
                .chain(lines.filter_map(of))
                .collect()
        }
    };
    let late = input.workspaces.iter().filter_map(|active| {
        let lag = active.pipeline.lag();
        let name = &active.config.name;
        lag.is_near_loss()
            .then(|| format!("workspace {name}: {}\n", lag.words()))
    });
    (is_ready, std::iter::once(text).chain(late).collect())
}

fn within_a_sentence(mut headline: String) -> String {
    if let Some(first) = headline.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    headline
}

/// As in the first line of `/readyz`.
impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.refused_by_amp {
            true => "AMP refuses: ",
            false => "batches are not stored: ",
        })?;
        f.write_str(self.outcome)?;
        match &self.since {
            Some(since) => write!(f, " since {}", since.time()),
            None => Ok(()),
        }
    }
}
