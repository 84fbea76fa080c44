//! The true state that STS, AMP and the token file share, and the sidecar's simulated environment.
//!
//! Time is tokio's, paused, from an epoch; the sidecar's own clock may differ. Real sockets and files are replaced by in-memory
//! pipes and values, so a story takes no real time and is repeatable.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use amp_sidecar::clock::Clock;
use amp_sidecar::config::Config;
use amp_sidecar::credentials::token::{self, ReadToken, Token, TokenError, TokenFiles};
use amp_sidecar::inbound::listener::Accept;
use amp_sidecar::net::client::HttpClient;
use amp_sidecar::net::connect::{Connect, Connectors};
use amp_sidecar::net::transport::Transport;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulator::amp::{Amp, AmpConfig, Rate};
use emulator::sessions::Sessions;
use hyper::Uri;
use rustls::pki_types::CertificateDer;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::amp::Upstream;
use crate::answers::AmpRequest;
use crate::faults::{AmpFault, StsFault};
use crate::plan::{Plan, TokenChange, at};
use crate::sts::Sts;
use crate::watch::Watch;

pub const REGION: &str = "eu-central-1";
pub const WORKSPACE: &str = "ws-12345678-abcd-1234-abcd-123456789012";
const EPOCH: Duration = Duration::from_secs(1_800_000_000);
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// The session of a key that STS issued.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub number: usize,
    pub instance: usize,
    /// The position of its role in the chain.
    pub hop: usize,
    /// As STS stated it.
    pub expires: SystemTime,
}

/// The token file.
#[derive(Debug)]
pub struct TokenFile {
    pub bytes: Option<Vec<u8>>,
    made: u32,
    key: u32,
}

/// The whole simulated world.
#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    pub clock: Clock,
    pub sessions: Sessions,
    pub amp: Amp,
    pub file: Mutex<TokenFile>,
    pub keys: Mutex<BTreeMap<String, Key>>,
    /// Sessions of the roles before the last, which sign for the next one.
    pub keys_on_the_way: Mutex<BTreeMap<String, Key>>,
    /// The faults are over, whatever the plan says.
    calm: AtomicBool,
    watch: Mutex<Watch>,
    rng: Mutex<fastrand::Rng>,
    started: Instant,
    numbers: AtomicUsize,
    pub listening: AtomicBool,
    pub stopped: Mutex<Option<Duration>>,
}

/// The sidecar's transport and token files.
#[derive(Debug, Clone)]
pub struct Ends(pub Arc<World>);

/// The sidecar's listener.
#[derive(Debug)]
pub struct Gate {
    world: Arc<World>,
    coming: tokio::sync::Mutex<mpsc::Receiver<(DuplexStream, IpAddr)>>,
    counts: bool,
}

// === impl World ===

impl World {
    pub fn new(plan: Plan) -> Self {
        let sessions = Sessions::new();
        let amp = AmpConfig {
            region: REGION.to_owned(),
            account: "111122223333".to_owned(),
            workspace_id: WORKSPACE.to_owned(),
            allowed_roles: vec![role(plan.hops)],
            limits: plan.limits.clone(),
            ..AmpConfig::default()
        };
        let world = Self {
            clock: Clock::simulated(SystemTime::UNIX_EPOCH + EPOCH),
            amp: Amp::new(amp, sessions.clone()),
            sessions,
            file: Mutex::new(TokenFile {
                bytes: None,
                made: 0,
                key: 0,
            }),
            keys: Mutex::default(),
            keys_on_the_way: Mutex::default(),
            calm: AtomicBool::new(false),
            watch: Mutex::default(),
            rng: Mutex::new(fastrand::Rng::with_seed(plan.seed ^ 0x5eed)),
            started: Instant::now(),
            numbers: AtomicUsize::new(0),
            listening: AtomicBool::new(true),
            stopped: Mutex::default(),
            plan,
        };
        world.change_token(TokenChange::Rotated);
        world
    }

    /// Since the start of the story.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// True time, which is AWS' own.
    pub fn true_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.now()
    }

    pub fn unix_seconds(&self) -> u64 {
        (EPOCH + self.now()).as_secs()
    }

    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap()
    }

    pub fn note(&self, what: impl std::fmt::Display) {
        self.watch().note(self.now(), what);
    }

    pub fn violated(&self, what: impl std::fmt::Display) {
        self.watch().violated(self.now(), what);
    }

    pub fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.lock().unwrap().u64(from..to))
    }

    pub fn sts_fault(&self) -> Option<&StsFault> {
        at(&self.plan.sts, self.now()).filter(|_| !self.calm.load(Ordering::Relaxed))
    }

    pub fn amp_fault(&self) -> Option<&AmpFault> {
        at(&self.plan.amp, self.now()).filter(|_| !self.calm.load(Ordering::Relaxed))
    }

    /// The fault for this request.
    pub fn fault_of(&self, amp_request: &AmpRequest) -> Option<AmpFault> {
        let calm = self.calm.load(Ordering::Relaxed);
        let script = self.plan.script.as_ref().filter(|_| !calm);
        let scripted = script.and_then(|script| (script.0)(amp_request));
        scripted.or_else(|| self.amp_fault().cloned())
    }

    /// AMP rejects an empty write, so the sidecar cannot know that a batch is held for its contents.
    pub fn refuses_canaries(&self, amp_request: &AmpRequest) {
        if amp_request.is_canary() {
            self.watch().forget_blocked();
        }
    }

    /// Sets AMP's own limits to those of the fault.
    pub fn limit(&self, fault: Option<&AmpFault>) {
        let mut limits = self.plan.limits.clone();
        match fault {
            Some(AmpFault::Rate(rate, burst)) => {
                limits.ingestion_rate = Some(Rate::new(f64::from(*rate), *burst));
            }
            Some(AmpFault::Message(most)) => limits.max_recv_msg_size = *most,
            Some(AmpFault::MessageInside(most)) => limits.ingester_max_recv_msg_size = Some(*most),
            _ => {}
        }
        // Token buckets are refilled when the fault changes.
        if limits != self.amp.limits() {
            self.amp.set_limits(limits);
        }
    }

    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Tokens of the previous key are rejected from now on.
    pub fn new_key(&self) {
        self.file.lock().unwrap().key += 1;
    }

    pub fn change_token(&self, change: TokenChange) {
        let mut file = self.file.lock().unwrap();
        let bytes = match change {
            TokenChange::Rotated | TokenChange::Stale => {
                file.made += 1;
                let now = self.unix_seconds();
                let exp = match change {
                    TokenChange::Stale => now.saturating_sub(600),
                    _ => now + TOKEN_LIFE.as_secs(),
                };
                Some(minted(file.made, file.key, exp))
            }
            TokenChange::Missing => None,
            TokenChange::Empty => Some(b"\n".to_vec()),
            TokenChange::Torn => {
                let whole = minted(file.made, file.key, 0);
                Some(whole[..whole.len() / 2].to_vec())
            }
            TokenChange::Garbage => Some(b"\xff\xfe not a token".to_vec()),
            TokenChange::TooLong => Some(vec![b'x'; 25_000]),
        };
        file.bytes = bytes;
    }

    /// Why STS rejects a token; `None` if it accepts it.
    pub fn judge(&self, token: &str) -> Option<(u16, &'static str)> {
        let claims = token.split('.').nth(1).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap_or_default();
        let key = claims["key"].as_u64();
        if key != Some(u64::from(self.file.lock().unwrap().key)) {
            return Some((400, "InvalidIdentityToken"));
        }
        let over = claims["exp"].as_u64().unwrap_or(0) <= self.unix_seconds();
        over.then_some((400, "ExpiredTokenException"))
    }
}

fn minted(number: u32, key: u32, exp: u64) -> Vec<u8> {
    let claims = format!(
        r#"{{"iss":"https://issuer.example/","sub":"system:serviceaccount:ns:sa","aud":["sts.amazonaws.com"],"exp":{exp},"jti":"{number}","key":{key}}}"#
    );
    let claims = URL_SAFE_NO_PAD.encode(claims);
    format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJl{number}\n").into_bytes()
}

// === impl Ends ===

impl Connectors for Ends {
    fn connector(&self, _: &Uri) -> Option<Box<dyn Connect>> {
        Some(Box::new(Upstream(Arc::clone(&self.0))))
    }
}

impl Transport for Ends {
    fn direct_client(&self) -> HttpClient {
        self.client()
    }

    fn client(&self) -> HttpClient {
        let instance = self.0.watch().instance();
        HttpClient::new(Arc::new(Sts {
            world: Arc::clone(&self.0),
            instance,
        }))
    }

    fn replace_roots(&self, _: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        Ok(())
    }

    fn rebuild(&self, _: &Config) -> Result<Arc<dyn Transport>, rustls::Error> {
        Ok(Arc::new(self.clone()))
    }
}

impl TokenFiles for Ends {
    fn open(&self, _: &Path) -> Box<dyn ReadToken> {
        Box::new(self.clone())
    }
}

impl ReadToken for Ends {
    fn read(&self) -> Pin<Box<dyn Future<Output = Result<Token, TokenError>> + Send + '_>> {
        let path = Path::new("/token");
        let read = match &self.0.file.lock().unwrap().bytes {
            Some(bytes) => token::held(path, bytes),
            None => Err(TokenError::Unreadable {
                path: path.to_owned(),
                source: io::ErrorKind::NotFound.into(),
                access: None,
            }),
        };
        Box::pin(std::future::ready(read))
    }
}

// === impl Gate ===

impl Gate {
    /// A gate, and the channel on which senders connect to it.
    pub fn of(world: &Arc<World>) -> (Self, mpsc::Sender<(DuplexStream, IpAddr)>) {
        let (connections, coming) = mpsc::channel(4096);
        let gate = Self {
            world: Arc::clone(world),
            coming: tokio::sync::Mutex::new(coming),
            counts: true,
        };
        (gate, connections)
    }

    /// A gate whose closing is not recorded.
    pub fn for_admin(world: &Arc<World>) -> (Self, mpsc::Sender<(DuplexStream, IpAddr)>) {
        let (mut gate, connections) = Self::of(world);
        gate.counts = false;
        (gate, connections)
    }
}

impl Accept for Gate {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, IpAddr)> {
        match self.coming.lock().await.recv().await {
            Some(one) => Ok(one),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.counts {
            self.world.listening.store(false, Ordering::Relaxed);
            *self.world.stopped.lock().unwrap() = Some(self.world.now());
            self.world.watch().stops();
            self.world.note("the listener is closed");
        }
    }
}

/// The role at this position of the chain.
pub fn role(number: usize) -> String {
    format!("arn:aws:iam::111122223333:role/amp-{number}")
}

/// Loopback, or a remote host.
pub fn address(elsewhere: Option<u8>) -> IpAddr {
    match elsewhere {
        Some(host) => Ipv4Addr::new(10, 0, 0, host).into(),
        None => Ipv4Addr::LOCALHOST.into(),
    }
}
