use super::*;
use crate::dashboard::auth::{Grant, Issued, Maker, Revoked, SecretHash};
use crate::dashboard::testing::host;
use rusqlite::Connection;

fn revoked() -> Revoked {
    Revoked {
        time: Timestamp::from_millis(1),
        by: "alice".into(),
    }
}

fn issued() -> Issued {
    Issued {
        grant: Grant::Agent {
            host_id: host("h1"),
        },
        expires: None,
        created: Timestamp::from_millis(1),
        created_by: "alice".into(),
        maker: Some(Maker::Local),
        traded_for: None,
    }
}

/// A folder with a database in which a token was made and another one revoked, all of it in the file itself.
async fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sqlite");
    let (state, anew) = open(&path, false).unwrap();
    assert!(anew.is_none());
    let [made, taken] = ["made", "taken"].map(SecretHash::of);
    state.ledger().await.unwrap();
    state.save_issued(made, issued()).await.unwrap();
    state.save_revoked(taken, revoked()).await.unwrap();
    drop(state);
    direct(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    // Elsewhere, since the threads of that state may still be about to end.
    let other = tempfile::tempdir().unwrap();
    for name in ["x.sqlite", "revoked-tokens"] {
        fs::copy(folder.path().join(name), other.path().join(name)).unwrap();
    }
    let path = other.path().join("x.sqlite");
    (other, path)
}

/// What somebody else does to a database.
fn direct(path: &Path, statement: &str) {
    let connection = Connection::open(path).unwrap();
    let busy = connection.execute_batch("PRAGMA busy_timeout = 5000;");
    busy.unwrap();
    let mut statement = connection.prepare(statement).unwrap();
    let _ = statement.query([]).unwrap().next().unwrap();
}

/// Overwrites the first page of a table.
fn damage(path: &Path, table: &str) {
    let connection = Connection::open(path).unwrap();
    let page = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u32 = connection
        .query_row(page, [table], |row| row.get(0))
        .unwrap();
    drop(connection);
    let file = fs::File::options().write(true).open(path).unwrap();
    let at = u64::from(page - 1) * 4096;
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xA5; 4096], at).unwrap();
}

async fn tokens(state: &State) -> (bool, bool) {
    let ledger = state.ledger().await.unwrap();
    let [made, taken] = ["made", "taken"].map(SecretHash::of);
    (
        ledger.issued.contains_key(&made),
        ledger.revoked.contains_key(&taken),
    )
}

#[tokio::test]
async fn a_damaged_page_costs_no_token_of_another_table() {
    for table in ["runs", "sessions", "hosts", "revoked"] {
        let (_folder, path) = folder().await;
        damage(&path, table);
        let (state, anew) = open(&path, true).unwrap();
        assert!(matches!(anew, Some(Anew::Damaged { .. })), "{table}");
        assert_eq!(tokens(&state).await, (true, true), "{table}");
    }
}

#[tokio::test]
async fn no_token_is_saved_while_nobody_knows_whether_it_was_revoked() {
    let (folder, path) = folder().await;
    fs::remove_file(folder.path().join("revoked-tokens")).unwrap();
    damage(&path, "revoked");
    let (state, anew) = open(&path, true).unwrap();
    assert_eq!(tokens(&state).await, (false, false));
    let said = anew.unwrap().to_string();
    assert!(
        said.contains("and the tokens that the dashboard made"),
        "{said}"
    );
}

#[test]
fn databases_set_aside_in_one_second_have_names_of_their_own_and_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sqlite");
    let now = Timestamp::now();
    let mut names = Vec::new();
    let last = loop {
        let content = format!("no database {}", names.len());
        fs::write(&path, &content).unwrap();
        fs::write(aside::with_end(&path, "-wal"), "its log").unwrap();
        match aside::set_aside(&path, now) {
            Ok(aside) => names.push((aside, content)),
            Err(error) => break error,
        }
        assert!(names.len() < 1_000, "ever more of them");
        assert_eq!(aside::list(&path).unwrap().len(), names.len());
    };
    assert!(matches!(last, StateError::TooManySetAside { .. }), "{last}");
    let error = open(&path, true).unwrap_err();
    assert!(
        matches!(error, StateError::TooManySetAside { .. }),
        "{error}"
    );
    names.push((path, format!("no database {}", names.len())));
    for (path, content) in names {
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        let beside = fs::read_to_string(aside::with_end(&path, "-wal"));
        assert_eq!(beside.unwrap(), "its log");
    }
}

#[tokio::test]
async fn what_was_cut_short_while_a_database_was_set_aside_goes_on() {
    // The damaged one has its new name, and the new one not yet.
    let (_folder, path) = folder().await;
    let fresh = aside::with_end(&path, ".new");
    salvage::make(Some(&path), &fresh, true).unwrap();
    aside::set_aside(&path, Timestamp::now()).unwrap();
    let (state, anew) = open(&path, true).unwrap();
    assert!(matches!(anew, Some(Anew::Resumed)), "{anew:?}");
    assert_eq!(tokens(&state).await, (true, true));

    // The same, and what belongs to the damaged one has its old name still.
    let (_folder, path) = folder().await;
    let fresh = aside::with_end(&path, ".new");
    salvage::make(Some(&path), &fresh, true).unwrap();
    let aside = aside::set_aside(&path, Timestamp::now()).unwrap();
    let _ = fs::remove_file(aside::with_end(&aside, "-wal"));
    let _ = fs::remove_file(aside::with_end(&aside, "-shm"));
    fs::write(aside::with_end(&path, "-wal"), "of the damaged one").unwrap();
    let (state, anew) = open(&path, true).unwrap();
    assert!(matches!(anew, Some(Anew::Resumed)), "{anew:?}");
    assert_eq!(tokens(&state).await, (true, true));
    let kept = fs::read_to_string(aside::with_end(&aside, "-wal"));
    assert_eq!(kept.unwrap(), "of the damaged one");

    // A new one was half made, and the damaged one is where it was.
    let (_folder, path) = folder().await;
    let fresh = aside::with_end(&path, ".new");
    fs::write(&fresh, "half a database").unwrap();
    let (state, anew) = open(&path, true).unwrap();
    assert!(anew.is_none(), "{anew:?}");
    assert_eq!(tokens(&state).await, (true, true));
    assert!(!fresh.exists());
}

#[tokio::test]
async fn a_write_ahead_log_without_its_database_is_kept_and_an_empty_database_is_told() {
    let (_folder, path) = folder().await;
    fs::remove_file(&path).unwrap();
    fs::write(aside::with_end(&path, "-wal"), "its log").unwrap();
    let (state, anew) = open(&path, true).unwrap();
    let Some(Anew::Missing { aside: Some(aside) }) = anew else {
        panic!("{anew:?}");
    };
    let kept = fs::read_to_string(aside::with_end(&aside, "-wal"));
    assert_eq!(kept.unwrap(), "its log");
    assert_eq!(tokens(&state).await, (false, true));
    drop(state);

    let (_folder, path) = folder().await;
    fs::write(&path, "").unwrap();
    let (_, anew) = open(&path, true).unwrap();
    assert!(matches!(anew, Some(Anew::Damaged { .. })), "{anew:?}");
    // Not where there never was another one.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sqlite");
    fs::write(&path, "").unwrap();
    assert!(open(&path, false).unwrap().1.is_none());
}

#[tokio::test]
async fn a_database_that_may_be_whole_is_left_as_it_is() {
    let (folder, path) = folder().await;
    let is_alone = |what: &str| {
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name());
        let found = names.find(|name| name.to_str().unwrap().contains("damaged"));
        assert_eq!(found, None, "{what}");
    };
    let locked = Connection::open(&path).unwrap();
    locked
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM hosts; COMMIT;",
        )
        .unwrap();
    let error = open(&path, true).unwrap_err();
    assert!(
        error.to_string().contains("another program has it open"),
        "{error}"
    );
    is_alone("locked");
    drop(locked);

    direct(&path, "PRAGMA user_version = 99");
    let error = open(&path, true).unwrap_err();
    assert!(
        matches!(error, StateError::TooNew { found: 99, .. }),
        "{error}"
    );
    is_alone("newer");
    direct(&path, "PRAGMA user_version = 3");

    let (state, anew) = open(&path, true).unwrap();
    assert!(anew.is_none());
    assert_eq!(tokens(&state).await, (true, true));
}

#[tokio::test]
async fn a_database_without_its_tables_is_damaged_and_is_set_aside() {
    for change in [
        "DROP TABLE runs",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -7",
    ] {
        let (_folder, path) = folder().await;
        direct(&path, change);
        let (state, anew) = open(&path, true).unwrap();
        assert!(matches!(anew, Some(Anew::Damaged { .. })), "{change}");
        assert_eq!(tokens(&state).await, (true, true), "{change}");
    }
}

#[tokio::test]
async fn a_revoked_token_stays_revoked_whatever_else_its_row_says() {
    let (folder, path) = folder().await;
    fs::remove_file(folder.path().join("revoked-tokens")).unwrap();
    direct(&path, "UPDATE revoked SET record = 'no json'");
    let (state, _) = open(&path, true).unwrap();
    assert_eq!(tokens(&state).await, (true, true));
}
