//! What was survived: for each scene, the samples that were made in it, and how many of them arrived.
//!
//! In: the moments at which scenes began, the sender's own samples, and AMP's store. Out: a [`SceneRow`] for each scene, its repetitions together. A
//! sample belongs to the scene in which its timestamp lies, whenever it arrived; so the rows add up to the comparison of the whole.

use super::plan::Scene;
use super::strike::SceneResult;
use crate::peers::compare::is_stored;
use crate::peers::samples::Samples;
use emulator::amp::Store;

/// One scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneRow {
    /// What happens in it.
    pub scene: &'static str,
    /// How often it struck and was played; `None` where nothing goes wrong.
    pub struck: Option<(u64, u64)>,
    /// Samples made in it.
    pub sent: u64,
    /// Those of them that AMP has, bit for bit.
    pub stored: u64,
}

/// When which scene began, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Timeline(Vec<(i64, Scene)>);

// === impl SceneRow ===

impl SceneRow {
    /// Those that AMP does not have.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent - self.stored
    }
}

// === impl Timeline ===

impl Timeline {
    pub(super) fn begin(&mut self, at: i64, scene: Scene) {
        self.0.push((at, scene));
    }

    /// A row for each scene, in the order of their first time.
    pub(super) fn rows(
        &self,
        sent: &Samples,
        store: &Store,
        results: &[SceneResult],
    ) -> Vec<SceneRow> {
        let mut rows: Vec<SceneRow> = Vec::new();
        for (_, scene) in &self.0 {
            let title = scene.title();
            if rows.iter().any(|row| row.scene == title) {
                continue;
            }
            let result = results.iter().find(|result| result.scene == title);
            rows.push(SceneRow {
                scene: title,
                struck: result.map(|result| (result.struck, result.played)),
                sent: 0,
                stored: 0,
            });
        }
        for (labels, timestamp, value) in sent.iter() {
            let title = self.at(timestamp).map(Scene::title);
            if let Some(row) = rows.iter_mut().find(|row| Some(row.scene) == title) {
                row.sent += 1;
                row.stored += u64::from(is_stored(store, labels, timestamp, value));
            }
        }
        rows
    }

    /// What is made before the first scene counts as made in it.
    fn at(&self, timestamp: i64) -> Option<Scene> {
        let begun = self.0.partition_point(|(at, _)| *at <= timestamp);
        let (_, scene) = self.0.get(begun.saturating_sub(1))?;
        Some(*scene)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_scene_of_its_timestamp() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.at(0), None);
        for (at, scene) in [(10, Scene::Calm), (20, Scene::StsFails), (30, Scene::Calm)] {
            timeline.begin(at, scene);
        }
        for (timestamp, scene) in [
            (5, Scene::Calm),
            (10, Scene::Calm),
            (19, Scene::Calm),
            (20, Scene::StsFails),
            (99, Scene::Calm),
        ] {
            assert_eq!(timeline.at(timestamp), Some(scene), "{timestamp}");
        }
        let mut sent = Samples::new();
        for timestamp in [5, 15, 25, 35] {
            let labels = emulator::amp::Labels::new([("__name__", "up")]);
            sent.insert(labels, timestamp, 1.0);
        }
        let results = [SceneResult {
            scene: Scene::StsFails.title(),
            strikes_when: "",
            played: 1,
            struck: 1,
        }];
        let rows = timeline.rows(&sent, &Store::default(), &results);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.scene, row.struck, row.sent, row.lost()))
            .collect();
        assert_eq!(
            seen,
            [
                ("all is well", None, 3, 3),
                ("STS fails", Some((1, 1)), 1, 1)
            ]
        );
    }
}
