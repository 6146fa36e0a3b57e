//! A run from its first step to its footer.

use super::outcome::{self, Outcome};
use super::program::{Ended, How, Interruption};
use super::programs::Programs;
use super::recorder::Recorder;
use super::standing::Standing;
use super::unit_end::UnitEnd;
use super::watch::Watch;
use super::{Error, checks};
use crate::protocol::Phase;
use crate::runlog::LogWriter;
use crate::spool::{RunDir, Spec};

/// How the steps and checks of a run ended.
pub(super) enum End {
    /// All with 0, and what to tell the user of it.
    Ok(Option<String>),
    /// A step, or some of the checks, did not: the exit code where there is one, and what to tell the user.
    Failed { code: Option<i32>, message: String },
    /// Somebody or the timeout ended it.
    Interrupted(Interruption),
    /// Nobody saw how a program ended: what to tell the user of it.
    Unseen(String),
}

/// Runs the run, or what is left of it, and stores its result.
pub(super) fn execute(
    rundir: &RunDir,
    spec: &Spec,
    watch: Watch,
    writer: LogWriter,
) -> Result<(), Error> {
    let (standing, decoding) = Standing::find(rundir)?;
    let recorder = Recorder::new(writer, rundir, spec, decoding);
    let mut programs = Programs::new(rundir, spec, recorder, standing, watch);
    let end = steps(&mut programs);
    let end = match (end, &spec.checks) {
        (End::Ok(_), Some(folder)) => checks::run(&mut programs, folder),
        (end, _) => end,
    };
    let took = programs.elapsed();
    let local_changes = programs.local_changes();
    let mut recorder = programs.finish();
    recorder.write_progress_now();
    let outcome = Outcome::of(end, &recorder, spec);
    let progress = recorder.progress().clone();
    let result = outcome.into_result(progress, spec, took, local_changes);
    outcome::store(rundir, recorder.into_writer(), result)
}

impl End {
    /// All of the run was ended because memory ran out, of which this is known.
    pub(super) fn out_of_memory(failure: Option<String>) -> Self {
        Self::Failed {
            code: None,
            message: failure.unwrap_or_else(|| "Out of memory".to_owned()),
        }
    }
}

fn steps(programs: &mut Programs<'_>) -> End {
    let phase = (programs.spec.command.as_str() == "pull").then_some(Phase::Pull);
    for argv in &programs.spec.steps {
        let finished = match programs.run(argv, phase) {
            Ended::Finished(finished) => finished,
            Ended::Interrupted(interruption) => return End::Interrupted(interruption),
        };
        let program = argv.first().map_or("", String::as_str);
        match finished.how {
            // systemd ends the activation with SIGTERM then, and takes that for a success.
            How::Exited(0) if finished.activating && outcome::is_shutting_down() => {
                return End::Unseen(outcome::OF_SHUTDOWN.to_owned());
            }
            How::Exited(code) => match finished.failure {
                None if code == 0 => {}
                failure => {
                    let of_code = || format!("{program} ended with exit code {code}");
                    return End::Failed {
                        code: Some(code),
                        message: failure.unwrap_or_else(of_code),
                    };
                }
            },
            How::NotStarted(code, message) => {
                let code = Some(code);
                return End::Failed { code, message };
            }
            How::OutOfMemory(_) => return End::out_of_memory(finished.failure),
            How::Unseen => return End::Unseen(of_unseen(program, programs.rundir)),
        }
    }
    End::Ok(None)
}

/// Whoever would have seen it died, too, and systemd may say how.
fn of_unseen(program: &str, rundir: &RunDir) -> String {
    let message = format!("Result of {program} unknown");
    match UnitEnd::find(rundir) {
        Some(end) => format!("{message}; {}", end.in_words()),
        None => message,
    }
}
