//! A run from its first step to its footer.

use super::outcome::{self, Outcome};
use super::program::{Cause, Ended, Programs};
use super::recorder::Recorder;
use super::watch::Watch;
use super::{Error, checks};
use crate::protocol::{Phase, Seq, Status, Tests, Timestamp};
use crate::runlog::LogWriter;
use crate::spool::{RunDir, Spec};
use std::path::Path;
use std::time::Instant;

/// How the steps and checks of a run ended.
pub(super) enum End {
    /// All with 0.
    Ok,
    /// The program of a step gave this code; what it printed begins at that line.
    StepFailed {
        program: String,
        code: i32,
        from: Seq,
    },
    /// A program could not be started, or the checks not be found.
    NotStarted { code: i32, message: String },
    /// Some checks failed; what they printed begins at that line.
    ChecksFailed { message: String, from: Seq },
    /// Somebody or the timeout ended it.
    Interrupted(super::program::Interruption),
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
        (End::Ok, Some(folder)) => run_checks(&mut programs, folder),
        (end, _) => end,
    };
    let mut recorder = programs.recorder;
    recorder.flush();
    recorder.write_progress_now();
    let outcome = Outcome::of(end, &recorder, rundir, spec);
    let progress = recorder.progress().clone();
    let result = outcome.into_result(progress, spec, started.elapsed());
    outcome::store(recorder.into_writer(), result)
}

fn steps(programs: &mut Programs<'_>) -> End {
    if programs.spec.command.as_str() == "pull" {
        begin(programs, Phase::Pull);
    }
    for argv in &programs.spec.steps {
        programs.recorder.decoder().step_begins();
        let from = programs.recorder.next_seq();
        match programs.run(argv) {
            Ended::Exited(0) => {}
            Ended::Exited(code) => {
                return End::StepFailed {
                    program: argv.first().cloned().unwrap_or_default(),
                    code,
                    from,
                };
            }
            Ended::NotStarted(code, message) => return End::NotStarted { code, message },
            Ended::Interrupted(interruption) => return End::Interrupted(interruption),
        }
    }
    End::Ok
}

/// Runs all checks, whatever becomes of each.
fn run_checks(programs: &mut Programs<'_>, folder: &Path) -> End {
    let found = match checks::find(folder) {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => {
            return End::NotStarted {
                code: 1,
                message: format!("the checks in {} cannot be read: {error}", folder.display()),
            };
        }
    };
    begin(programs, Phase::Testing);
    if found.is_empty() {
        let text = format!(
            "switchyard: no checks: there is no executable T*.sh in {}",
            folder.display()
        );
        programs.recorder.note(&text, Timestamp::now());
        programs.recorder.flush();
        return End::Ok;
    }
    let from = programs.recorder.next_seq();
    let total = found.len() as u64;
    let mut tests = Tests {
        current: 0,
        total,
        passed: 0,
        running: true,
        result: None,
    };
    let mut failed = Vec::new();
    for (check, number) in found.iter().zip(1..) {
        tests.current = number;
        show(programs, &tests);
        programs.recorder.decoder().step_begins();
        let name = checks::name(check);
        match programs.run(&[check.to_string_lossy().into_owned()]) {
            Ended::Exited(0) => tests.passed += 1,
            Ended::Exited(code) => failed.push(format!("{name} (exit code {code})")),
            Ended::NotStarted(_, message) => failed.push(format!("{name} ({message})")),
            Ended::Interrupted(interruption) => {
                tests.running = false;
                if matches!(interruption.cause, Cause::Timeout) {
                    tests.result = Some(Status::Error);
                }
                show(programs, &tests);
                return End::Interrupted(interruption);
            }
        }
    }
    tests.running = false;
    tests.result = Some(if failed.is_empty() {
        Status::Ok
    } else {
        Status::Error
    });
    show(programs, &tests);
    if failed.is_empty() {
        return End::Ok;
    }
    let message = format!(
        "{} of {total} checks failed: {}",
        failed.len(),
        failed.join(", ")
    );
    End::ChecksFailed { message, from }
}

fn begin(programs: &mut Programs<'_>, phase: Phase) {
    let next = programs.recorder.next_seq();
    let decoder = programs.recorder.decoder();
    decoder.begin(phase, Timestamp::now(), next);
}

fn show(programs: &mut Programs<'_>, tests: &Tests) {
    *programs.recorder.decoder().tests_mut() = Some(tests.clone());
}
