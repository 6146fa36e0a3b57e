# The switch changes the agent's own unit and restarts it; later one removes the agent altogether. The runs know
# nothing of that.
unit = "switchyard-agent.service"
numbers = [str(number) for number in range(1, 2001)]


def assert_whole(run_id: str) -> None:
    run = await_end("web1", run_id)
    assert run["status"] == "ok", run
    counted = [line for line in lines("web1", run_id) if line.isdigit()]
    assert counted == numbers, counted


await_online("web1")

with subtest("a run finds the programs of its host"):
    run_id = start("web1", "look")
    run = await_end("web1", run_id)
    assert run["status"] == "ok", run
    found = lines("web1", run_id)
    programs = ["bash", "curl", "hostname", "ip", "nixos-rebuild", "nix", "git", "ssh", "systemctl"]
    for line in [f"has {program}" for program in programs] + ["bash by env"]:
        assert line in found, (line, found)

with subtest("a switch that restarts the agent"):
    before = web1.succeed(f"systemctl show --value -p MainPID {unit}")
    assert_whole(start("web1", "switch"))
    assert web1.succeed(f"systemctl show --value -p MainPID {unit}") != before
    assert "MARK=2" in web1.succeed(f"systemctl show -p Environment {unit}")

with subtest("a switch that removes the agent"):
    await_online("web1")
    assert_whole(start("web1", "leave"))
    web1.wait_until_fails(f"systemctl is-active {unit}", timeout=60)
    web1.fail(f"systemctl is-failed {unit}")
