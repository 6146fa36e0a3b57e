//! A child that writes the same lines to its output and to a file, until its gate is opened.

use crate::common::{Dashboard, Gate, texts};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// How it writes.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// A thousand lines at once, ten times a second.
    Fast,
    /// A line every thirtieth of a second.
    Slow,
}

/// The files of such a child, and its script.
pub(crate) struct Child {
    pub(crate) gate: Gate,
    pub(crate) script: String,
    written: PathBuf,
}

impl Child {
    /// One that ends with `exit_code`. It writes to its file first, so the file never has less than the log.
    pub(crate) fn new(dir: &Path, name: &str, pace: Pace, exit_code: i32) -> Self {
        let gate = format!("{name}.gate");
        let written = dir.join(format!("{name}.written"));
        let pause = match pace {
            Pace::Fast => "[ $((n % 1000)) -ne 0 ] || sleep 0.1",
            Pace::Slow => "sleep 0.03",
        };
        let script = format!(
            "exec 3>'{written}'; n=0; while [ -e '{gate}' ]; do n=$((n+1)); echo \"line $n\" >&3; echo \"line $n\"; \
             {pause}; done; exit {exit_code}",
            written = written.display(),
            gate = dir.join(&gate).display(),
        );
        Self {
            gate: Gate::closed(dir, &gate),
            script,
            written,
        }
    }

    /// What it wrote so far.
    pub(crate) fn written(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.written).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for the end of its run: the log is what it wrote, over HTTP and on disk, and so is its exit code.
    #[track_caller]
    pub(crate) fn assert_whole(
        &self,
        dashboard: &Dashboard,
        host: &str,
        run: &str,
        exit_code: i32,
    ) {
        let done = dashboard.wait_done(host, run);
        let status = if exit_code == 0 { "ok" } else { "error" };
        assert_eq!(
            [&done["status"], &done["exit_code"]],
            [&json!(status), &json!(exit_code)],
            "{done}"
        );
        let written = self.written();
        assert!(!written.is_empty());
        assert_eq!(done["lines"], written.len());
        assert!(texts(&dashboard.lines(host, run)) == written, "over HTTP");
        let log = dashboard.log(host, run);
        assert!(log.lines == written, "on disk");
        assert_eq!(log.exit_code, exit_code.to_string());
        assert_eq!(log.result["status"], status);
    }
}
