//! `GET /api/hosts/{id}/logs/download`: a run as it is at that moment, as a file.

use super::logs::{self, JsonLines, Lines, RunPath};
use crate::ansi::Stripper;
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::{Ids, Params};
use crate::dashboard::problem::Problem;
use crate::dashboard::state::RunRecord;
use crate::protocol::{CommandName, HostId, RunId, Status, Timestamp};
use crate::runlog::{LogError, LogReader};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How much of the text is read at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Among how many of a host's newest runs one that began is looked for.
const LOOKED_AT: usize = 100;

/// The host that the path names.
#[derive(Deserialize)]
pub(crate) struct HostPath {
    id: HostId,
}

/// Which run, and how.
#[derive(Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    format: Format,
    run: Option<RunId>,
}

/// How a run is written.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// The log file without terminal escapes.
    #[default]
    Txt,
    /// One JSON object; escapes are kept.
    Json,
}

pub(crate) async fn download(
    State(app): State<Arc<App>>,
    _: Identity,
    Ids(HostPath { id }): Ids<HostPath>,
    Params(which): Params<Which>,
) -> Result<impl IntoResponse, Problem> {
    let run = match which.run {
        Some(run) => run,
        None => latest_of(&app, &id)
            .await?
            .ok_or_else(|| Problem::not_found("this host has no log yet"))?,
    };
    let path = RunPath { id, run };
    let reader = logs::open(&app, &path).await?.ok_or_else(|| {
        Problem::not_found(format!(
            "{} has not started, so it has no log yet",
            path.run
        ))
    })?;
    let (kind, ending) = match which.format {
        Format::Txt => ("text/plain; charset=utf-8", "txt"),
        Format::Json => ("application/json", "json"),
    };
    // Ids hold nothing that would have to be quoted.
    let name = format!("attachment; filename=\"{}-{}.{ending}\"", path.id, path.run);
    let body = match which.format {
        Format::Txt => {
            let pieces = logs::reading(&app, &path, move || text(reader)).await?;
            logs::body(&app, path, pieces)
        }
        Format::Json => {
            let named = path.run.clone();
            let pieces = logs::reading(&app, &path, move || json(reader, &named)).await?;
            logs::body(&app, path, pieces)
        }
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body))
}

/// The latest run of a host that began, whether or not its log is still there; the latest log where no run is known.
async fn latest_of(app: &App, id: &HostId) -> Result<Option<RunId>, Problem> {
    let runs = app.core.state.runs(id, None, LOOKED_AT).await;
    let runs = runs.map_err(|error| Problem::internal(&error))?;
    let began = |record: &RunRecord| {
        let at_hand = app.core.fleet.record(id, &record.run.run_id);
        at_hand.map_or(record.run.started, |record| record.run.started)
    };
    if let Some(latest) = runs.iter().find(|record| began(record).is_some()) {
        return Ok(Some(latest.run.run_id.clone()));
    }
    let folder = app.logs_of(id);
    logs::blocking(move || latest(&folder)).await
}

/// The pieces of an answer, one after the other.
type Pieces = Box<dyn FnMut() -> Result<Option<Vec<u8>>, LogError> + Send>;

fn text(reader: LogReader) -> Result<Pieces, LogError> {
    let end = reader.text_len()?;
    let mut offset = 0;
    let mut stripper = Stripper::default();
    Ok(Box::new(move || {
        let mut plain = Vec::new();
        while plain.is_empty() && offset < end {
            let most = PIECE_BYTES.min(usize::try_from(end - offset).unwrap_or(PIECE_BYTES));
            let mut piece = vec![0; most];
            let got = reader.read_text_at(offset, &mut piece)?;
            if got == 0 {
                break;
            }
            offset += got as u64;
            plain.reserve(got);
            stripper.strip(&piece[..got], &mut plain);
        }
        if offset >= end {
            stripper.finish(&mut plain);
        }
        Ok((!plain.is_empty()).then_some(plain))
    }))
}

fn json(reader: LogReader, run_id: &RunId) -> Result<Pieces, LogError> {
    #[derive(Serialize)]
    struct Head<'a> {
        host_id: &'a HostId,
        run_id: &'a RunId,
        command: &'a CommandName,
        status: Status,
        started: Timestamp,
        completed: Option<Timestamp>,
        exit_code: Option<i32>,
    }
    let footer = reader.footer()?;
    let result = footer.as_ref().map(|footer| &footer.result);
    let header = reader.header();
    let head = Head {
        host_id: &header.host_id,
        run_id,
        command: &header.command,
        status: result.map_or(Status::Running, |result| result.status),
        started: header.meta.started,
        completed: result.map(|result| result.completed),
        exit_code: footer.as_ref().and_then(|footer| footer.exit_code),
    };
    let mut head = serde_json::to_vec(&head).unwrap_or_default();
    head.pop();
    head.extend_from_slice(b",\"lines\":[");
    let total = reader.total()?;
    let mut lines = JsonLines::new(Lines::new(reader, 0, total));
    let mut head = Some(head);
    let mut tail = Some(b"]}".to_vec());
    Ok(Box::new(move || {
        if let Some(head) = head.take() {
            return Ok(Some(head));
        }
        let piece = lines.piece()?;
        Ok(piece.or_else(|| tail.take()))
    }))
}

/// The latest run that has a log in the folder; runs that never started have none.
fn latest(folder: &Path) -> Result<Option<RunId>, LogError> {
    let wrong = |source| LogError::Io {
        what: "list",
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut latest: Option<RunId> = None;
    for entry in entries {
        let name = entry.map_err(wrong)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(run) = stem.and_then(|stem| RunId::new(stem).ok())
            && latest
                .as_ref()
                .is_none_or(|latest| order(latest) < order(&run))
        {
            latest = Some(run);
        }
    }
    Ok(latest)
}

/// Runs begin with their second; of two in one second, and of one command, the longer id is the later one.
fn order(run: &RunId) -> (&str, usize, &str) {
    const SECOND: usize = "2025-12-14T10-30-00".len();
    let id = run.as_str();
    (&id[..SECOND], id.len(), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_run_is_found_among_its_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(latest(&folder.path().join("none")).unwrap().is_none());
        assert!(latest(folder.path()).unwrap().is_none());
        for name in [
            "2025-12-14T10-30-00-switch-9.log",
            "2025-12-14T10-30-00-switch-10.log",
            "2025-12-14T10-30-00-switch.log",
            "2025-12-14T10-29-59-switch-11.log",
            "2026-12-14T10-30-00-switch.idx",
            "zzz.log",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = latest(folder.path()).unwrap().unwrap();
        assert_eq!(found.as_str(), "2025-12-14T10-30-00-switch-10");
    }
}
