//! The refs of a clone as files, as git keeps them unless it was told otherwise.

use super::repair::remove;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const MAX_DEPTH: u32 = 40;

/// Writes HEAD anew, and removes refs that name nothing and those in the way of the two that a pull writes.
pub(super) fn make_sound(git_dir: &Path, branch: &str) -> io::Result<()> {
    let head = git_dir.join("HEAD");
    if !fs::symlink_metadata(&head).is_ok_and(|found| found.is_file()) {
        remove(&head)?;
    }
    write(&head, &format!("ref: refs/heads/{branch}\n"))?;
    let wanted = [
        format!("refs/heads/{branch}"),
        format!("refs/remotes/origin/{branch}"),
    ];
    for name in &wanted {
        clear_way(git_dir, name)?;
    }
    remove_unsound(&git_dir.join("refs"), MAX_DEPTH)?;
    // Without that folder git does not know the repository.
    fs::create_dir_all(git_dir.join("refs/heads"))?;
    rewrite_packed(&git_dir.join("packed-refs"), &wanted)
}

/// Removes the file that is where `name` needs a folder, and the folder that is where it needs a file.
fn clear_way(git_dir: &Path, name: &str) -> io::Result<()> {
    let parts: Vec<_> = name.split('/').collect();
    for length in 1..parts.len() {
        let folder = git_dir.join(parts[..length].join("/"));
        if fs::symlink_metadata(&folder).is_ok_and(|found| !found.is_dir()) {
            remove(&folder)?;
        }
    }
    let file = git_dir.join(name);
    if file.is_dir() {
        remove(&file)?;
    }
    Ok(())
}

/// Removes loose refs that hold no id of a commit. Those that name another ref are not needed.
fn remove_unsound(folder: &Path, depth: u32) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                remove_unsound(&path, depth - 1)?;
            }
        } else {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let text = text.trim_end();
            if !is_id(text) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Leaves out of `packed-refs` what is no ref, and what is in the way of the `wanted` ones.
fn rewrite_packed(path: &Path, wanted: &[String]) -> io::Result<()> {
    let Ok(bytes) = fs::read(path) else {
        return remove(path);
    };
    let text = String::from_utf8_lossy(&bytes);
    let (mut kept, mut keeps) = (String::new(), false);
    for line in text.lines() {
        keeps = match line.split_once(' ') {
            Some(("#", _)) => true,
            Some((id, name)) => is_id(id) && name.starts_with("refs/") && !is_in_way(name, wanted),
            // The commit of a tag, which belongs to the ref before it.
            None => keeps && line.strip_prefix('^').is_some_and(is_id),
        };
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    if kept.as_bytes() == bytes {
        return Ok(());
    }
    write(path, &kept)
}

/// Whether `name` cannot be together with one of the `wanted` refs.
fn is_in_way(name: &str, wanted: &[String]) -> bool {
    let is_below = |lower: &str, upper: &str| {
        let rest = lower.strip_prefix(upper);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    wanted
        .iter()
        .any(|wanted| is_below(wanted, name) || is_below(name, wanted))
}

/// Whether this is the id of an object, in either of git's hashes.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Replaces a file whole, and has it on disk.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("switchyard-new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
