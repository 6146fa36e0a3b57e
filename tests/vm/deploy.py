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

with subtest("a person signs in, and sees the fleet"):
    login = json.dumps({"user": "ada", "password": "correct horse battery staple"})
    answer = dashboard.succeed(
        f"curl -sSf -o /dev/null -D - -H 'Origin: {ORIGIN}' --json '{login}' {ORIGIN}/api/login"
    )
    # The cookie is Secure, so curl would not send it back over http. The other one only says that it is a known browser.
    cookies = [line[12:] for line in answer.splitlines() if line.lower().startswith("set-cookie: ")]
    [cookie] = [cookie for cookie in cookies if "switchyard-device" not in cookie]
    session = cookie.split(";")[0]
    hosts = json.loads(dashboard.succeed(f"curl -sSf -H 'Cookie: {session}' {ORIGIN}/api/hosts"))
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
