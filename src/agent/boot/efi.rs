//! Variables of the firmware, which boot loaders read and write.
//! <https://systemd.io/BOOT_LOADER_INTERFACE/>

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Whose variables these are: any boot loader's that keeps to that interface.
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// Bytes of flags before the value.
const FLAGS_BYTES: usize = 4;

/// Longest variable that is read, in bytes.
const MAX_BYTES: u64 = 4096;

/// The text of a variable; `None` where there is none, or it is empty.
pub(super) fn variable(root: &Path, name: &str) -> Option<String> {
    let path = format!("sys/firmware/efi/efivars/{name}-{VENDOR}");
    let mut bytes = Vec::new();
    let file = File::open(root.join(path)).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let units = bytes.get(FLAGS_BYTES..)?.chunks_exact(2);
    let units = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
    String::from_utf16(&units)
        .ok()
        .filter(|text| !text.is_empty())
}
