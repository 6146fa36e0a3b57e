//! A host's checks: the executable `T*.sh` of a folder, in the order of their names.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The checks in `folder`; `None` when there is no such folder.
pub(super) fn find(folder: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
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
    Ok(Some(checks))
}

/// The name of a check, for messages.
pub(super) fn name(check: &Path) -> String {
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
        let found = find(folder.path()).unwrap().unwrap();
        let names: Vec<_> = found.iter().map(|path| name(path)).collect();
        assert_eq!(names, ["T02-a.sh", "T10-b.sh"]);
        assert!(find(&folder.path().join("none")).unwrap().is_none());
    }
}
