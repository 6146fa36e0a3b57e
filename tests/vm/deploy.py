# From nothing to a switched host: somebody signs in, pulls the configuration and switches, and reads the log.
git = "runuser -u git -- env HOME=/srv/git git -c user.name=ada -c user.email=ada@example.org"
dashboard.wait_for_open_port(9418)
dashboard.succeed(
    f"{git} init --quiet --bare --initial-branch=main /srv/git/config.git",
    f"{git} clone --quiet /srv/git/config.git /srv/git/work",
    "runuser -u git -- touch /srv/git/work/flake.nix",
    f"{git} -C /srv/git/work add flake.nix",
    f"{git} -C /srv/git/work commit --quiet --message first",
    f"{git} -C /srv/git/work push --quiet origin HEAD:main",
)
revision = dashboard.succeed(f"{git} -C /srv/git/work rev-parse HEAD").strip()
await_online("web1")
await_online("web2")

with subtest("nobody may do anything without signing in"):
    dashboard.fail(f"curl -sSf {ORIGIN}/api/hosts")

with subtest("nobody is let in where browsers keep no sign-in, and is told what to do"):
    login = json.dumps({"user": "ada", "password": "correct horse battery staple"})
    answer = dashboard.succeed(f"curl -sS -H 'Origin: {ORIGIN}' --json '{login}' {ORIGIN}/api/login")
    assert json.loads(answer)["status"] == 403, answer
    assert "https://" in json.loads(answer)["detail"], answer

with subtest("a person signs in on the dashboard's own machine, and sees the fleet"):
    here = "http://127.0.0.1:8000"
    dashboard.succeed(f"curl -sSf -c /tmp/cookies -H 'Origin: {here}' --json '{login}' {here}/api/login")
    hosts = json.loads(dashboard.succeed(f"curl -sSf -b /tmp/cookies {here}/api/hosts"))
    assert [host["id"] for host in hosts["hosts"]] == ["web1", "web2"], hosts

with subtest("pull fetches the configuration"):
    for name in ["web1", "web2"]:
        run = await_end(name, start(name, "pull"))
        assert run["status"] == "ok", run
        assert api(f"/api/hosts/{name}")["revision"] == revision

with subtest("switch activates it on that host, and the log has what it printed"):
    run_id = start("web1", "switch")
    run = await_end("web1", run_id)
    assert run["status"] == "ok" and run["exit_code"] == 0, run
    web1.succeed("grep yes /etc/is-next")
    web2.fail("test -e /etc/is-next")
    assert "activating the configuration..." in lines("web1", run_id)
    text = dashboard.succeed(f"cat /var/lib/switchyard/logs/web1/{run_id}.log")
    assert "\n# Exit code: 0\n" in text, text
