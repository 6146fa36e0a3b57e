# Who may what: hosts by their tokens, people by their roles, processes by the sandbox.
await_online("web1")

with subtest("a host with a wrong token stays outside"):
    web2.wait_until_succeeds("journalctl -u switchyard-agent.service | grep 'refused the token'", timeout=60)
    assert api("/api/hosts/web2")["online"] is False

with subtest("a viewer sees and does not deploy"):
    assert api("/api/hosts/web1", token="viewer")["online"] is True
    command = f"{ORIGIN}/api/hosts/web1/command --json '{json.dumps({'command': 'switch'})}'"
    for token, code in [("viewer", "403"), ("nobody", "401"), ("operator", "202")]:
        answer = dashboard.succeed(
            f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {token}' {command}"
        )
        assert answer == code, (token, answer)

with subtest("no secret and no log can be read by others"):
    for machine, paths in [
        (
            dashboard,
            ["/run/credentials/switchyard-dashboard.service/users", "/var/lib/private/switchyard/logs"],
        ),
        (web1, ["/run/credentials/switchyard-agent.service/token", "/var/lib/switchyard-agent/runs"]),
    ]:
        for path in paths:
            machine.succeed(f"test -r {path}")
            machine.fail(f"runuser -u nobody -- test -r {path}")

with subtest("systemd finds little that the services could still do without"):
    dashboard.succeed("systemd-analyze security --no-pager --threshold=12 switchyard-dashboard.service")
    web1.succeed("systemd-analyze security --no-pager --threshold=20 switchyard-agent.service")
