//! What the tests share: a world with a sidecar before it.

use std::time::Duration;

use emulator::world::{World, WorldConfig};
use testbench::peers::prometheus::Installed;
use testbench::peers::sidecar::{Program, Sidecar};

/// Leaves at once when it is asked to.
pub(crate) const FLAGS: [&str; 1] = ["--drain-idle=100ms"];

pub(crate) async fn world_and_sidecar() -> (World, Sidecar) {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let program = Program::sidecar(None).await.unwrap();
    let sidecar = Sidecar::start(&program, &world, &FLAGS).await.unwrap();
    (world, sidecar)
}

/// The one on the `PATH`, without which a test that needs it must fail.
pub(crate) async fn prometheus() -> Installed {
    Installed::find(None)
        .await
        .unwrap()
        .expect("no `prometheus` on the PATH: this test needs a real one (Debian: apt-get install prometheus)")
}

/// Looks every 50 ms for up to 30 s.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}
