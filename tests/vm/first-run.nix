# The services as the modules define them: a command from the API runs, and its lines are in the log.
{ self }:
{
  name = "switchyard-first-run";

  nodes.machine = {
    imports = [
      self.nixosModules.default
      ./one-host.nix
    ];
  };

  testScript = ''
    import json

    api = "http://127.0.0.1:8000/api/hosts/h1"

    machine.wait_for_unit("switchyard-dashboard.service")
    machine.wait_for_unit("switchyard-agent.service")
    machine.wait_until_succeeds(f"curl -sf {api} | grep -F '\"online\":true'", timeout=60)

    answer = machine.succeed(
        f"curl -sf -H 'Origin: http://127.0.0.1:8000' --json '{json.dumps({'command': 'switch'})}' {api}/command"
    )
    run = json.loads(answer)["run_id"]
    machine.wait_until_succeeds(f"curl -sf {api}/runs/{run} | grep -F '\"status\":\"ok\"'", timeout=60)

    log = machine.succeed(f"cat /var/lib/switchyard/logs/h1/{run}.log")
    assert "] from the child\n" in log, log
    assert "] from its standard error\n" in log, log
    assert "\n# Exit code: 0\n" in log, log
  '';
}
