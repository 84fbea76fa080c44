//! A mistake that somebody makes: the world with it, and the settings.

use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, WorldConfig};

use crate::leak_check::World;

pub type Settings = Vec<(&'static str, String)>;

/// How to make a mistake, and what is expected then.
pub struct Arranged<E> {
    pub world: WorldConfig,
    arrange: Box<dyn Fn(&World)>,
    settings: Box<dyn Fn(&World) -> Settings>,
    pub expected: E,
}

impl<E> Arranged<E> {
    pub fn expecting(expected: E) -> Self {
        Self {
            world: WorldConfig::default(),
            arrange: Box::new(|_| {}),
            settings: Box::new(|_| Vec::new()),
            expected,
        }
    }

    pub fn world(mut self, change: impl FnOnce(&mut WorldConfig)) -> Self {
        change(&mut self.world);
        self
    }

    pub fn arrange(mut self, arrange: impl Fn(&World) + 'static) -> Self {
        self.arrange = Box::new(arrange);
        self
    }

    pub fn token(self, how: BrokenToken) -> Self {
        self.arrange(move |world| world.break_token(how).unwrap())
    }

    pub fn on(self, target: Target, kind: FaultKind) -> Self {
        self.arrange(move |world| world.faults(target).set([Fault::new(kind.clone())]))
    }

    /// The response of STS to AssumeRoleWithWebIdentity.
    pub fn on_sts(self, kind: FaultKind) -> Self {
        self.arrange(move |world| {
            let fault = Fault::new(kind.clone()).on_body("AssumeRoleWithWebIdentity");
            world.faults(Target::Sts).set([fault]);
        })
    }

    pub fn settings(mut self, settings: impl Fn(&World) -> Settings + 'static) -> Self {
        self.settings = Box::new(settings);
        self
    }

    /// The world with the mistake in it, and the settings for it.
    pub async fn start(&self) -> (World, Settings) {
        let world = World::start(self.world.clone()).await.unwrap();
        (self.arrange)(&world);
        let settings = (self.settings)(&world);
        (world, settings)
    }
}
