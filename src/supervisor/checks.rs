//! A host's checks: the executable `T*.sh` of a folder, in the order of their names.

use super::execution::End;
use super::program::{Ended, How};
use super::programs::Programs;
use crate::protocol::{CauseKind, Phase, Status, Tests};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What became of the checks that ran.
#[derive(Default)]
struct Failures {
    /// Each with how it failed.
    names: Vec<String>,
    /// What the first of them said.
    said: Option<String>,
}

/// Runs all checks in `folder`, whatever becomes of each; that there is none is told in the message.
pub(super) fn run(programs: &mut Programs<'_>, folder: &Path) -> End {
    match find(folder) {
        Err(error) => End::Failed {
            code: Some(1),
            message: format!("the checks in {} cannot be read: {error}", folder.display()),
        },
        Ok(checks) if checks.is_empty() => End::Ok(Some(format!(
            "no checks ran: there is no executable T*.sh in {}",
            folder.display()
        ))),
        Ok(checks) => run_all(programs, &checks),
    }
}

fn run_all(programs: &mut Programs<'_>, checks: &[PathBuf]) -> End {
    let mut tests = Tests {
        current: 0,
        total: checks.len() as u64,
        passed: 0,
        running: true,
        result: None,
    };
    let mut failures = Failures::default();
    for check in checks {
        tests.current += 1;
        show(programs, &tests);
        let argv = [check.to_string_lossy().into_owned()];
        let finished = match programs.run(&argv, Some(Phase::Testing)) {
            Ended::Finished(finished) => finished,
            Ended::Interrupted(interruption) => {
                tests.running = false;
                show(programs, &tests);
                return End::Interrupted(interruption);
            }
        };
        let how = match finished.how {
            How::Exited(0) => {
                tests.passed += 1;
                continue;
            }
            How::Exited(code) => format!("exit code {code}"),
            How::NotStarted(_, message) => message,
            How::Unseen => "result unknown".to_owned(),
            How::OutOfMemory(_) => {
                tests.running = false;
                tests.result = Some(Status::Error);
                show(programs, &tests);
                return End::out_of_memory(finished.failure);
            }
        };
        let name = name(check);
        let said = finished.failure.filter(|said| *said != how);
        describe(programs, failures.names.len(), (&name, &how));
        failures.names.push(format!("{name} ({how})"));
        failures.said = failures.said.or(said);
    }
    let ok = failures.names.is_empty();
    tests.running = false;
    tests.result = Some(if ok { Status::Ok } else { Status::Error });
    show(programs, &tests);
    if ok {
        return End::Ok(None);
    }
    let number = failures.names.len();
    let said = failures
        .said
        .map_or_else(String::new, |said| format!("\n{said}"));
    let summary = format!(
        "{number} of {} checks failed: {}",
        tests.total,
        failures.names.join(", ")
    );
    let message = format!("{summary}{said}");
    if let Some(first) = programs.recorder.causes_mut().first_mut() {
        first.summary = summary;
    }
    let code = Some(1);
    End::Failed { code, message }
}

/// Says of the cause with this index that it is a check, and which one.
fn describe(programs: &mut Programs<'_>, index: usize, (name, how): (&str, &str)) {
    if let Some(cause) = programs.recorder.causes_mut().get_mut(index) {
        cause.kind = CauseKind::Check;
        cause.name = Some(name.to_owned());
        cause.summary = match cause.summary == how {
            true => format!("{name} failed: {how}"),
            false => format!("{name} failed ({how}): {}", cause.summary),
        };
    }
}

fn show(programs: &mut Programs<'_>, tests: &Tests) {
    *programs.recorder.decoder().tests_mut() = Some(tests.clone());
}

/// The checks in `folder`; none when there is no such folder.
fn find(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut checks = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if has_name_of_check(&path) && is_executable(&path) {
            checks.push(path);
        }
    }
    checks.sort();
    Ok(checks)
}

/// The name of a check, for messages.
fn name(check: &Path) -> String {
    let name = check.file_name().unwrap_or(check.as_os_str());
    name.to_string_lossy().into_owned()
}

fn has_name_of_check(path: &Path) -> bool {
    let name = name(path);
    name.starts_with('T') && name.ends_with(".sh")
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_the_executable_scripts_in_order_of_name() {
        let folder = tempfile::tempdir().unwrap();
        for (file, mode) in [
            ("T10-b.sh", 0o755),
            ("T02-a.sh", 0o755),
            ("T03.sh", 0o644),
            ("T04.txt", 0o755),
            ("lib.sh", 0o755),
        ] {
            let path = folder.path().join(file);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(folder.path().join("T99.sh")).unwrap();
        let found = find(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| name(path)).collect();
        assert_eq!(names, ["T02-a.sh", "T10-b.sh"]);
        assert!(find(&folder.path().join("none")).unwrap().is_empty());
    }
}
