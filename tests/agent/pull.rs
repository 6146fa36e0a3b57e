use crate::support::Fleet;
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(dir: &Path, content: &str) -> String {
    std::fs::write(dir.join("file"), content).unwrap();
    git(dir, &["add", "."]);
    git(dir, &["commit", "--quiet", "-m", content]);
    git(dir, &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn pull_clones_then_follows_the_branch_and_reports_its_revision() {
    let fleet = Fleet::new().await;
    let origin = fleet.path("origin");
    std::fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch=main"]);
    let first = commit(&origin, "one");
    let _agent = fleet.agent(
        "true",
        &format!("[repo]\nurl = \"file://{}\"", origin.display()),
    );
    let (mut connection, register) = fleet.register().await;
    assert_eq!(
        register["commands"],
        json!([
            "pull", "switch", "test", "update", "boot", "build", "rollback"
        ])
    );
    let clone = fleet.path("state/repo");
    connection
        .command("2025-12-14T10-30-00-pull", "n", "pull")
        .await;
    let (_, status) = connection.until_end("2025-12-14T10-30-00-pull", 0).await;
    assert_eq!(
        (&status["status"], &status["revision"]),
        (&json!("ok"), &json!(first)),
        "{status}"
    );

    let second = commit(&origin, "two");
    std::fs::write(clone.join("file"), "changed by hand").unwrap();
    std::fs::write(clone.join(".git/index.lock"), "").unwrap();
    connection
        .command("2025-12-14T10-30-01-pull", "n", "pull")
        .await;
    let (_, status) = connection.until_end("2025-12-14T10-30-01-pull", 0).await;
    assert_eq!(
        (&status["status"], &status["revision"]),
        (&json!("ok"), &json!(second)),
        "{status}"
    );
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    assert_eq!(
        connection.expect("heartbeat").await["revision"],
        json!(second)
    );
}

#[tokio::test]
async fn a_remote_that_is_not_there_fails_with_what_git_says() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "[repo]\nurl = \"/nowhere/repo.git\"");
    let (mut connection, _) = fleet.register().await;
    connection
        .command("2025-12-14T10-30-00-pull", "n", "pull")
        .await;
    let (_, status) = connection.until_end("2025-12-14T10-30-00-pull", 0).await;
    assert_eq!(
        (&status["status"], &status["exit_code"]),
        (&json!("error"), &json!(128))
    );
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("/nowhere/repo.git"),
        "{status}"
    );
}
