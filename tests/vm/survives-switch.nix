# The switch changes the agent's own unit and restarts it; later one removes the agent altogether. The runs know
# nothing of that.
{ self }:
let
  fleet = import ./fleet.nix { inherit self; };
  activate = name: [
    [
      "/bin/sh"
      "-c"
      "seq 1 1000"
    ]
    [
      "/run/booted-system/specialisation/${name}/bin/switch-to-configuration"
      "test"
    ]
    [
      "/bin/sh"
      "-c"
      "seq 1001 2000"
    ]
  ];
in
{
  name = "switchyard-survives-switch";

  nodes = {
    inherit (fleet) dashboard;
    web1 =
      { lib, ... }:
      {
        imports = [ (fleet.host (activate "changed")) ];
        services.switchyard.agent.settings.commands.leave.steps = activate "removed";
        specialisation = {
          changed.configuration.systemd.services.switchyard-agent.environment.MARK = "2";
          removed.configuration.services.switchyard.agent.enable = lib.mkForce false;
        };
      };
  };

  testScript = fleet.script + ''
    unit = "switchyard-agent.service"
    numbers = [str(number) for number in range(1, 2001)]


    def assert_whole(run_id):
        run = await_end("web1", run_id)
        assert run["status"] == "ok", run
        counted = [line for line in lines("web1", run_id) if line.isdigit()]
        assert counted == numbers, counted


    await_online("web1")

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
  '';
}
