//! GRUB: which entry of the menu in `grub.cfg` the configuration, or a variable in `grubenv`, makes the next one.

use super::{efi, system_of, text};
use std::path::Path;

/// Longest `grub.cfg` and `grubenv` that are read, in bytes.
const MAX_MENU_BYTES: u64 = 1024 * 1024;
const MAX_ENVIRONMENT_BYTES: u64 = 64 * 1024;

/// Commands that start a kernel, whose parameters are behind it.
const KERNELS: [&str; 5] = ["linux", "linux16", "linuxefi", "module", "module2"];

/// Words after which a menu may be another than it looks like: other files, conditions and repetitions.
const UNCLEAR: [&str; 7] = ["source", ".", "blscfg", "for", "while", "until", "normal"];

/// The value by which NixOS has the next boot, and it alone, start another entry.
const ONCE: &str = "\"${next_entry}\"";
const SAVED: &str = "\"${saved_entry}\"";

pub(super) fn next_system(root: &Path) -> Option<String> {
    // Another loader that names itself has started this machine.
    if efi::variable(root, "LoaderInfo").is_some_and(|info| !info.starts_with("GRUB ")) {
        return None;
    }
    let menu = Menu::parse(&text(&root.join("boot/grub/grub.cfg"), MAX_MENU_BYTES)?)?;
    let environment = Environment::read(root)?;
    let wanted = match (environment.value("next_entry"), menu.default.as_str()) {
        (Some(once), _) => once,
        (None, SAVED) => environment.value("saved_entry").unwrap_or("0"),
        (None, default) => default.trim_matches('"'),
    };
    let (mut entry, mut entries) = (None, &menu.entries);
    for name in wanted.split('>') {
        let found = find(entries, name)?;
        entries = &found.entries;
        entry = Some(found);
    }
    let parameters = entry?.parameters.iter().map(String::as_str);
    system_of(parameters)
}

/// An entry, or a menu in the menu.
#[derive(Default)]
struct Entry {
    /// `None` where it is not written plainly.
    title: Option<String>,
    parameters: Vec<String>,
    entries: Vec<Entry>,
}

/// The entry with a number or a title.
fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    if let Ok(number) = name.parse::<usize>() {
        return entries.get(number);
    }
    let mut found = None;
    for entry in entries {
        if entry.title.as_deref()? == name {
            if found.is_some() {
                return None;
            }
            found = Some(entry);
        }
    }
    found
}

/// What `grub.cfg` has.
struct Menu {
    default: String,
    entries: Vec<Entry>,
}

impl Menu {
    /// `None` where it has what NixOS does not write and what may change which entry is which.
    fn parse(text: &str) -> Option<Self> {
        let mut defaults = Vec::new();
        // The blocks around a line: an entry or a menu, or, as `None`, a function. The first is the whole.
        let mut blocks = vec![Some(Entry::default())];
        let mut conditions = 0_usize;
        for line in text.lines().map(str::trim) {
            let word = line.split_whitespace().next().unwrap_or_default();
            let is_entry = matches!(word, "menuentry" | "submenu");
            if is_entry {
                let is_plain = line.ends_with('{') && conditions == 0;
                // In no function, and in no entry.
                let (true, Some(Some(_))) = (is_plain, blocks.last()) else {
                    return None;
                };
                blocks.push(Some(Entry {
                    title: title(line),
                    ..Entry::default()
                }));
            } else if line.ends_with('{') {
                blocks.push(None);
            } else if line == "}" {
                let done = blocks.pop()?;
                let around = blocks.last_mut()?;
                if let (Some(done), Some(around)) = (done, around) {
                    around.entries.push(done);
                }
            } else if word == "if" && !line.ends_with("fi") {
                conditions += 1;
            } else if word == "fi" {
                conditions = conditions.checked_sub(1)?;
            } else if let Some(default) = line.strip_prefix("set default=") {
                defaults.push(default);
            } else if KERNELS.contains(&word) {
                if let Some(Some(entry)) = blocks.last_mut() {
                    let parameters = line.split_whitespace().map(str::to_owned);
                    entry.parameters.extend(parameters);
                }
            } else if UNCLEAR.contains(&word) && blocks.len() == 1 {
                return None;
            }
        }
        defaults.retain(|default| *default != ONCE);
        let ([default], [Some(_)], 0) = (&defaults[..], &blocks[..], conditions) else {
            return None;
        };
        Some(Self {
            default: (*default).to_owned(),
            entries: blocks.pop()??.entries,
        })
    }
}

/// The title in `menuentry "NixOS - Default" --class nixos {`.
fn title(line: &str) -> Option<String> {
    let quoted = line.split_once(' ')?.1.trim_start();
    let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let title = quoted[1..].split_once(quote)?.0;
    (!title.contains(['\\', '$', '>'])).then(|| title.to_owned())
}

/// What `grubenv` has, which a program or the loader itself may have written.
struct Environment(String);

impl Environment {
    /// `None` where it cannot be read; empty where there is none.
    fn read(root: &Path) -> Option<Self> {
        let path = root.join("boot/grub/grubenv");
        if !path.try_exists().ok()? {
            return Some(Self(String::new()));
        }
        let text = text(&path, MAX_ENVIRONMENT_BYTES)?;
        // A value may go on behind a backslash.
        (!text.contains('\\')).then_some(Self(text))
    }

    /// A variable that is not empty.
    fn value(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        (!value.is_empty()).then_some(value)
    }
}
