//! Which phase may follow which, and the progress that everybody sees.

use super::Counts;
use crate::protocol::{Phase, PhaseMark, Progress, Seq, Tests, Timestamp};
use serde::{Deserialize, Serialize};

/// How many beginnings of phases are kept; a run has about five. Beyond, the newest takes the place of the one
/// before it.
const MAX_MARKS: usize = 200;

/// The progress of a run, and the rules by which it moves.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Tracker {
    progress: Progress,
    revision: u64,
    /// The phase is left only for a later part of the activation, whatever the output says: what an activation
    /// or a check prints must not look like a build that may be killed.
    held: bool,
    /// No phase began in this step: even the one that the last step ended in begins anew.
    fresh: bool,
    /// nix has begun to build: further downloads are part of the building.
    built: bool,
}

impl Tracker {
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the present step changes the machine.
    pub(super) fn is_activating(&self) -> bool {
        !self.fresh && self.progress.phase().is_some_and(Phase::is_activating)
    }

    /// The phase that the present step is in, if one began in it.
    pub(super) fn phase_of_step(&self) -> Option<Phase> {
        self.progress.phase().filter(|_| !self.fresh)
    }

    pub(super) fn tests_mut(&mut self) -> &mut Option<Tests> {
        self.revision += 1;
        &mut self.progress.tests
    }

    /// A new step: any phase may follow, except that checks come last.
    pub(super) fn step_begins(&mut self) {
        self.held = self.progress.phase() == Some(Phase::Testing);
        self.built = false;
        self.fresh = true;
    }

    /// nix begins to count anew: downloads may come first again.
    pub(super) fn new_builds(&mut self) {
        self.built = false;
    }

    /// Begins a phase that the output does not tell. The steps of a pull are one phase, and so are all checks.
    pub(super) fn begin(&mut self, phase: Phase, at: Timestamp, seq: Seq) {
        self.fresh = false;
        self.mark(phase, at, seq);
        self.held = phase == Phase::Testing;
    }

    /// Begins a phase if it may follow the present one.
    pub(super) fn enter(&mut self, phase: Phase, at: Timestamp, seq: Seq) {
        if !self.may_begin(phase) {
            return;
        }
        match phase {
            Phase::Building => self.built = true,
            Phase::Evaluation => {
                self.built = false;
                self.show(Counts::default());
            }
            _ => {}
        }
        self.held = phase.is_activating();
        self.mark(phase, at, seq);
    }

    fn may_begin(&self, phase: Phase) -> bool {
        if self.held {
            phase == Phase::Switch && self.progress.phase() == Some(Phase::Activation)
        } else {
            phase != Phase::Download || !self.built
        }
    }

    fn mark(&mut self, phase: Phase, started: Timestamp, seq: Seq) {
        if self.progress.phase() == Some(phase) && !self.fresh {
            return;
        }
        self.fresh = false;
        let phases = &mut self.progress.phases;
        phases.truncate(MAX_MARKS - 1);
        phases.push(PhaseMark {
            phase,
            seq,
            started,
        });
        self.revision += 1;
    }

    /// Shows counts.
    pub(super) fn show(&mut self, counts: Counts) {
        let progress = &mut self.progress;
        let shown = Counts {
            done: progress.done,
            expected: progress.expected,
            running: progress.running,
            failed: progress.failed,
        };
        if shown != counts {
            (progress.done, progress.expected) = (counts.done, counts.expected);
            (progress.running, progress.failed) = (counts.running, counts.failed);
            self.revision += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(phases: &[Phase]) -> Vec<Phase> {
        let mut tracker = Tracker::default();
        for phase in phases {
            tracker.enter(*phase, Timestamp::from_millis(0), 0);
        }
        let marks = tracker.progress.phases.iter();
        marks.map(|mark| mark.phase).collect()
    }

    #[test]
    fn nothing_but_switch_follows_activation_in_a_step() {
        use Phase::{Activation, Building, Download, Evaluation, Switch};
        let all = [Evaluation, Download, Building, Activation, Switch];
        assert_eq!(after(&all), all);
        assert_eq!(
            after(&[Activation, Building, Evaluation, Download, Activation]),
            [Activation]
        );
        assert_eq!(after(&[Switch, Activation, Building]), [Switch]);
    }

    #[test]
    fn evaluation_may_follow_building_and_downloads_are_a_phase_only_before_it() {
        use Phase::{Building, Download, Evaluation};
        assert_eq!(
            after(&[
                Evaluation, Building, Download, Evaluation, Download, Building
            ]),
            [Evaluation, Building, Evaluation, Download, Building]
        );
    }

    #[test]
    fn checks_keep_their_phase_whatever_they_print() {
        let at = Timestamp::from_millis(0);
        let mut tracker = Tracker::default();
        tracker.begin(Phase::Testing, at, 0);
        tracker.step_begins();
        tracker.enter(Phase::Building, at, 1);
        tracker.enter(Phase::Activation, at, 2);
        assert_eq!(tracker.progress.phase(), Some(Phase::Testing));
    }

    #[test]
    fn the_steps_of_a_pull_are_one_phase_and_so_are_all_checks() {
        let at = Timestamp::from_millis(0);
        let mut tracker = Tracker::default();
        let steps = [Phase::Pull, Phase::Pull, Phase::Testing, Phase::Testing];
        for (seq, phase) in steps.into_iter().enumerate() {
            tracker.step_begins();
            tracker.begin(phase, at, seq as Seq);
        }
        let marks = &tracker.progress.phases;
        let begun: Vec<_> = marks.iter().map(|m| (m.phase, m.seq)).collect();
        assert_eq!(begun, [(Phase::Pull, 0), (Phase::Testing, 2)]);
    }

    #[test]
    fn an_activation_in_a_step_is_a_phase_of_its_own_even_after_another() {
        let at = Timestamp::from_millis(0);
        let mut tracker = Tracker::default();
        tracker.enter(Phase::Activation, at, 0);
        tracker.step_begins();
        tracker.enter(Phase::Activation, at, 7);
        let seqs: Vec<Seq> = tracker.progress.phases.iter().map(|m| m.seq).collect();
        assert_eq!(seqs, [0, 7]);
    }

    #[test]
    fn the_beginnings_are_bounded_and_the_last_is_the_present_one() {
        let mut tracker = Tracker::default();
        for seq in 0..1000 {
            let phase = [Phase::Evaluation, Phase::Building][seq % 2];
            tracker.enter(phase, Timestamp::from_millis(0), seq as Seq);
        }
        tracker.enter(Phase::Activation, Timestamp::from_millis(0), 1000);
        assert!(tracker.progress.phases.len() <= MAX_MARKS);
        assert_eq!(tracker.progress.phase(), Some(Phase::Activation));
    }
}
