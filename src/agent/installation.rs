//! The id of the agent's state folder, by which the dashboard tells two agents on one machine apart.

use super::enrolment;
use crate::protocol::nonce;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The id of this state folder, which is made where there is none. A copy of the folder gets another one, as the id is
/// kept with the number of the folder it was made for. `None` where the machine has no random numbers.
pub(super) fn id(state_dir: &Path) -> Option<String> {
    let path = state_dir.join("installation");
    let folder = fs::metadata(state_dir).map_or(0, |folder| folder.ino());
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if let Some((id, number)) = kept.trim().split_once(' ')
        && number.parse() == Ok(folder)
    {
        return Some(id.to_owned());
    }
    let id = nonce().ok()?;
    if let Err(error) = enrolment::keep(&path, &format!("{id} {folder}\n")) {
        tracing::warn!(path = %path.display(), %error, "the id of this agent cannot be stored: after the next start the dashboard takes it for another agent; make room on the disk, or make the file writable");
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_keeps_its_id_and_a_copy_or_a_new_one_has_another() {
        let parent = tempfile::tempdir().unwrap();
        let [first, copy] = ["first", "copy"].map(|name| parent.path().join(name));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&copy).unwrap();
        let one = id(&first).unwrap();
        assert_eq!(one.len(), 32);
        assert_eq!(id(&first).unwrap(), one);
        fs::copy(first.join("installation"), copy.join("installation")).unwrap();
        let other = id(&copy).unwrap();
        assert_ne!(other, one);
        assert_eq!(id(&copy).unwrap(), other);
        fs::write(first.join("installation"), "x").unwrap();
        assert_ne!(id(&first).unwrap(), one);
    }
}
