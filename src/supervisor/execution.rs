//! A run from its first step to its footer.

use super::outcome::{self, Outcome};
use super::program::{Ended, Interruption, Programs};
use super::recorder::Recorder;
use super::watch::Watch;
use super::{Error, checks};
use crate::protocol::{Phase, Seq, Timestamp};
use crate::runlog::LogWriter;
use crate::spool::{RunDir, Spec};
use std::time::Instant;

/// How the steps and checks of a run ended.
pub(super) enum End {
    /// All with 0, and what to tell the user of it.
    Ok(Option<String>),
    /// A step, or some of the checks, did not: the exit code, and what to tell the user.
    Failed { code: i32, message: String },
    /// Somebody or the timeout ended it.
    Interrupted(Interruption),
}

/// Runs the run and stores its result.
pub(super) fn execute(
    rundir: &RunDir,
    spec: &Spec,
    watch: Watch,
    writer: LogWriter,
) -> Result<(), Error> {
    let started = Instant::now();
    let recorder = Recorder::new(writer, rundir);
    let mut programs = Programs::new(rundir, spec, recorder, watch, started);
    let end = steps(&mut programs);
    let end = match (end, &spec.checks) {
        (End::Ok(_), Some(folder)) => checks::run(&mut programs, folder),
        (end, _) => end,
    };
    let mut recorder = programs.recorder;
    recorder.flush();
    recorder.write_progress_now();
    let outcome = Outcome::of(end, &recorder, spec);
    let progress = recorder.progress().clone();
    let result = outcome.into_result(progress, spec, started.elapsed());
    outcome::store(recorder.into_writer(), result)
}

fn steps(programs: &mut Programs<'_>) -> End {
    let phase = (programs.spec.command.as_str() == "pull").then_some(Phase::Pull);
    for argv in &programs.spec.steps {
        let from = begin(programs, phase);
        match programs.run(argv) {
            Ended::Exited(0) => {}
            Ended::Exited(code) => {
                let said = outcome::said(&programs.recorder, programs.rundir, from);
                let program = argv.first().map_or("", String::as_str);
                let message = outcome::failure(program, code, said);
                return End::Failed { code, message };
            }
            Ended::NotStarted(code, message) => return End::Failed { code, message },
            Ended::Interrupted(interruption) => return End::Interrupted(interruption),
        }
    }
    End::Ok(None)
}

/// Prepares for a program, in a phase where that is known. Gives the number of its first line.
pub(super) fn begin(programs: &mut Programs<'_>, phase: Option<Phase>) -> Seq {
    let next = programs.recorder.next_seq();
    let decoder = programs.recorder.decoder();
    decoder.step_begins();
    if let Some(phase) = phase {
        decoder.begin(phase, Timestamp::now(), next);
    }
    next
}
