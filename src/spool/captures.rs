//! What the programs of a run wrote, with its secrets: it is there only while somebody may go on with the run.

use std::fs;
use std::path::Path;

/// Removes every capture in the folder of a run that is over: its log has all of it, and without its secrets.
pub fn remove_captures(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let is_capture = name.to_str().is_some_and(|name| {
            name.starts_with("capture-") && (name.ends_with(".bytes") || name.ends_with(".records"))
        });
        if is_capture && let Err(error) = fs::remove_file(file.path()) {
            tracing::warn!(%error, file = %file.path().display(), "cannot remove a file with unmasked output, which may hold secrets: remove it by hand");
        }
    }
}
