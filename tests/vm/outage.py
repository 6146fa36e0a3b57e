# The dashboard is away during a run, and then the network: afterwards every line is there.
await_online("web1")
run_id = start("web1", "switch")
spool = f"/var/lib/switchyard-agent/runs/{run_id}/{run_id}.log"
stored = f"/var/lib/switchyard/logs/web1/{run_id}.log"

with subtest("the run goes on without the dashboard"):
    dashboard.wait_until_succeeds(f"grep '] 1000$' {stored}", timeout=60)
    dashboard.systemctl("stop switchyard-dashboard.service")
    web1.succeed("touch /tmp/go-1")
    web1.wait_until_succeeds(f"grep '] 2000$' {spool}", timeout=60)
    dashboard.fail(f"grep '] 1001$' {stored}")
    dashboard.systemctl("start switchyard-dashboard.service")
    dashboard.wait_until_succeeds(f"grep '] 2000$' {stored}", timeout=120)

with subtest("the run goes on without the network"):
    web1.block()
    web1.succeed("touch /tmp/go-2")
    web1.wait_until_succeeds(f"grep '^# Completed' {spool}", timeout=60)
    await_online("web1", False)
    assert api(f"/api/hosts/web1/runs/{run_id}")["status"] == "running"
    web1.unblock()

with subtest("every line is there, once and in order"):
    run = await_end("web1", run_id)
    assert run["status"] == "ok", run
    assert lines("web1", run_id) == [str(number) for number in range(1, 3001)]
