//! Whose a file is that may not be read or written.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Half a sentence on the file's owner, where `error` is that it is not ours to use.
pub(super) fn hint(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let own = nix::unistd::geteuid();
    match fs::symlink_metadata(path) {
        Ok(found) => format!(
            " (it belongs to user {} with mode {:04o}, and the agent runs as user {own})",
            found.uid(),
            found.mode() & 0o7777
        ),
        Err(_) => format!(" (the agent runs as user {own}, who may not enter a folder above it)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_of_another_owner_is_told_from_a_folder_that_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let owner = fs::metadata(&file).unwrap().uid();
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let words =
            format!("(it belongs to user {owner} with mode 0640, and the agent runs as user ");
        assert!(
            hint(&file, &refused).contains(&words),
            "{}",
            hint(&file, &refused)
        );
        let absent = folder.path().join("closed/token");
        assert!(hint(&absent, &refused).contains("who may not enter a folder above it"));
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(hint(&file, &gone), "");
    }
}
