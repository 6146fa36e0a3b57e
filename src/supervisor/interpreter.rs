//! Why a program that is there cannot be started: the system calls it "not found" where its interpreter is.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of a program is read, in bytes: what names the interpreter is at its beginning.
const HEAD_BYTES: u64 = 64 * 1024;

/// Of a segment that names an interpreter, in the program header of ELF (elf(5)).
const PT_INTERP: u64 = 3;

/// A program, and the interpreter that it names and that this host does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) program: PathBuf,
    pub(super) interpreter: PathBuf,
}

/// What is missing of `program`, if that itself is there.
pub(super) fn missing(program: &str) -> Option<Missing> {
    let program = find(program)?;
    let mut head = Vec::new();
    let file = File::open(&program).ok()?;
    file.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let interpreter = of_script(&head).or_else(|| of_elf(&head))?;
    (!interpreter.exists()).then_some(Missing {
        program,
        interpreter,
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_file());
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_file);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(is_file)
}

/// The first word behind `#!`.
fn of_script(head: &[u8]) -> Option<PathBuf> {
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line);
    // A carriage return belongs to the name: that is how a script from Windows fails.
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    words.next().map(PathBuf::from)
}

/// What the header of a 64-bit program names.
fn of_elf(head: &[u8]) -> Option<PathBuf> {
    // The class of 64 bits, in the order of the machines that we run on.
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: u64, bytes: u64| {
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(usize::try_from(bytes).ok()?)?;
        let little = head.get(at..end)?.iter().rev();
        Some(little.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let segment = (0..count)
        .filter_map(|index| first.checked_add(index * size))
        .find(|segment| number(*segment, 4) == Some(PT_INTERP))?;
    let begin = usize::try_from(number(segment + 8, 8)?).ok()?;
    let name = head.get(begin..)?.split(|byte| *byte == 0).next()?;
    Some(Path::new(std::str::from_utf8(name).ok()?).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_without_its_interpreter_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("check");
        let interpreter_of = |text: &str| {
            fs::write(&script, text).unwrap();
            missing(script.to_str().unwrap()).map(|missing| missing.interpreter)
        };
        let bash = interpreter_of("#! /no/such/bash -e\necho\n");
        assert_eq!(bash.as_deref(), Some(Path::new("/no/such/bash")));
        let windows = interpreter_of("#!/bin/sh\r\necho\r\n");
        assert_eq!(windows.as_deref(), Some(Path::new("/bin/sh\r")));
        assert_eq!(interpreter_of("#!/bin/sh\n"), None);
        assert_eq!(interpreter_of("no program"), None);
        assert_eq!(missing("/no/such/program"), None);
    }

    #[test]
    fn a_program_names_its_loader() {
        let own = env::current_exe().unwrap();
        let head = fs::read(own).unwrap();
        let loader = of_elf(&head).unwrap();
        assert!(loader.exists(), "{}", loader.display());
        let mut other = head.clone();
        let name = loader.to_str().unwrap().as_bytes();
        let at = head
            .windows(name.len())
            .position(|part| part == name)
            .unwrap();
        other[at + 1] = b'X';
        assert!(!of_elf(&other).unwrap().exists());
        for cut in [0, 10, 60, 100] {
            assert_eq!(of_elf(&head[..cut]), None);
        }
    }
}
