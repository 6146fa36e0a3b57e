//! Where our own messages go: journald under systemd, else standard error. `RUST_LOG` sets the level, `info` by default.
//! No peer can fill the journal: see `limit`.

mod limit;
mod one_line;

pub use one_line::escaped;

use limit::{LeftOut, Limit, Limited};
use one_line::OneLine;
use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Messages that other programs wait for; written whatever `RUST_LOG` says.
const ANNOUNCEMENT: &str = "switchyard::announcement";

/// Target of the messages that say what people do; they have limits of their own.
pub const AUDIT: &str = "switchyard::audit";

/// How many messages of each kind may be written.
static LIMIT: LazyLock<Limit> = LazyLock::new(|| Limit::new(&[ANNOUNCEMENT, AUDIT]));

/// Begins logging; a second call changes nothing.
pub fn init() {
    let (filter, complaint) = filter(std::env::var("RUST_LOG").ok().as_deref());
    let journald = if stderr_is_the_journal() {
        // `run` becomes SWITCHYARD_RUN, as systemd adds it to what the run's own unit says.
        let layer = tracing_journald::layer().ok();
        layer.map(|layer| {
            let layer = layer.with_field_prefix(Some("SWITCHYARD".to_owned()));
            layer.with_filter(Limited(&LIMIT))
        })
    } else {
        None
    };
    // A reader of standard error that is gone must not end us: reporting that would panic.
    let stderr = journald.is_none().then(|| {
        fmt::layer()
            .with_writer(|| OneLine(io::stderr()))
            .log_internal_errors(false)
            .with_filter(Limited(&LIMIT))
    });
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(journald)
        .with(stderr)
        .try_init();
    if started.is_ok()
        && let Some(complaint) = complaint
    {
        tracing::warn!("RUST_LOG is not understood, so the level is info: {complaint}");
    }
}

/// Says something that other programs wait for, such as `listening on http://127.0.0.1:8000`.
pub fn announce(what: &str) {
    tracing::info!(target: ANNOUNCEMENT, "{what}");
}

/// Tells how many messages were left out, if any were and that was not told just now. To be called once in a while.
pub fn report_left_out() {
    for LeftOut {
        count,
        host,
        file,
        line,
    } in LIMIT.left_out(Instant::now())
    {
        // An announcement, so that it is not left out itself.
        tracing::warn!(target: ANNOUNCEMENT, count, host, "messages left out: {count} like that of {file}:{line}");
    }
}

fn filter(wanted: Option<&str>) -> (EnvFilter, Option<String>) {
    let (filter, complaint) = match wanted.filter(|text| !text.is_empty()) {
        None => (EnvFilter::new("info"), None),
        Some(text) => match EnvFilter::try_new(text) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("info"), Some(error.to_string())),
        },
    };
    let announcements = tracing_subscriber::filter::Directive::from(tracing::Level::INFO);
    match format!("{ANNOUNCEMENT}=info").parse() {
        Ok(always) => (filter.add_directive(always), complaint),
        // Cannot be: the directive is a constant and a test reads it.
        Err(_) => (filter.add_directive(announcements), complaint),
    }
}

/// systemd names device and inode of the journal's socket in `JOURNAL_STREAM`; standard error may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_pass_whatever_the_level() {
        for wanted in [None, Some(""), Some("error"), Some("off")] {
            let (filter, complaint) = filter(wanted);
            assert!(complaint.is_none(), "{wanted:?}");
            assert!(
                filter.to_string().contains("switchyard::announcement=info"),
                "{filter}"
            );
        }
    }

    #[test]
    fn a_level_that_is_none_is_info_with_a_complaint() {
        let (filter, complaint) = filter(Some("switchyard=loud=er"));
        assert!(complaint.is_some());
        assert!(filter.to_string().contains("info"));
    }
}
