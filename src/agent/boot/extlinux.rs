//! `extlinux.conf`, which U-Boot reads on boards without EFI.

use super::{system_of, text};
use std::path::Path;

/// Longest `extlinux.conf` that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

pub(super) fn next_system(root: &Path) -> Option<String> {
    let text = text(&root.join("boot/extlinux/extlinux.conf"), MAX_BYTES)?;
    let mut default = None;
    let mut label = None;
    let mut found = None;
    for line in text.lines() {
        let (key, value) = line.trim().split_once([' ', '\t']).unwrap_or_default();
        let value = value.trim();
        match key.to_ascii_uppercase().as_str() {
            "DEFAULT" if default.is_none() => default = Some(value),
            "LABEL" => label = Some(value),
            "APPEND" if label.is_some() && label == default => {
                // Two entries of one name.
                if found.is_some() {
                    return None;
                }
                found = Some(value);
            }
            // More defaults, and entries of another file.
            "DEFAULT" | "ONTIMEOUT" | "INCLUDE" => return None,
            _ => {}
        }
    }
    system_of(found?.split_whitespace())
}
