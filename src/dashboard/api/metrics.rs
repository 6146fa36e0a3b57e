//! `GET /metrics`: the text format of Prometheus, version 0.0.4.

use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) async fn metrics(State(app): State<Arc<App>>, _: Identity) -> impl IntoResponse {
    let core = &app.core;
    let (hosts, online) = core.fleet.count();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &core.counters;
    let writes = core.state.write_counters();
    let rows = [
        (
            "switchyard_hosts",
            "gauge",
            "Hosts that the dashboard knows.",
            hosts as u64,
        ),
        (
            "switchyard_hosts_online",
            "gauge",
            "Hosts that are connected.",
            online as u64,
        ),
        (
            "switchyard_browsers",
            "gauge",
            "Browsers that are connected.",
            count(&counters.browsers),
        ),
        (
            "switchyard_healthy",
            "gauge",
            "1 while everything can be stored.",
            u64::from(core.health.reason().is_none()),
        ),
        (
            "switchyard_clock_believed",
            "gauge",
            "1 while the clock is trusted; while it is 0 no log is removed by age, and no command from before the last start expires.",
            u64::from(core.clock.is_believed()),
        ),
        (
            "switchyard_password_checks_total",
            "counter",
            "Passwords hashed to check a sign-in.",
            app.auth.password_checks(),
        ),
        (
            "switchyard_lines_stored_total",
            "counter",
            "Lines appended to logs.",
            count(&counters.lines_stored),
        ),
        (
            "switchyard_frames_received_total",
            "counter",
            "Frames from agents.",
            count(&counters.frames_received),
        ),
        (
            "switchyard_bytes_received_total",
            "counter",
            "Bytes in frames from agents.",
            count(&counters.bytes_received),
        ),
        (
            "switchyard_database_writes_total",
            "counter",
            "Changes written to the database.",
            count(&writes.jobs),
        ),
        (
            "switchyard_database_commits_total",
            "counter",
            "Transactions for these changes, each with one sync of the disk.",
            count(&writes.commits),
        ),
        (
            "switchyard_frames_sent_total",
            "counter",
            "Frames to browsers.",
            count(&counters.frames_sent),
        ),
        (
            "switchyard_lines_skipped_total",
            "counter",
            "Lines skipped for slow browsers.",
            count(&counters.lines_skipped),
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in rows {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        );
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
}
