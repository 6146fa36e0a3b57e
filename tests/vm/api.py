import json

ORIGIN = "http://dashboard:8000"


def api(path, body=None, token="operator"):
    """What the dashboard answers to a program with this API token."""
    argv = f"curl -sS --fail-with-body -H 'Authorization: Bearer {token}' {ORIGIN}{path}"
    if body is not None:
        argv += f" --json '{json.dumps(body)}'"
    return json.loads(dashboard.succeed(argv))


def await_online(host, online=True):
    shown = json.dumps({"online": online}, separators=(",", ":"))[1:-1]
    dashboard.wait_until_succeeds(
        f"curl -sSf -H 'Authorization: Bearer operator' {ORIGIN}/api/hosts/{host} | grep -F '{shown}'",
        timeout=120,
    )


def start(host, command):
    return api(f"/api/hosts/{host}/command", {"command": command})["run_id"]


def await_end(host, run):
    """Waits until the run is over; gives what the dashboard shows of it."""
    dashboard.wait_until_succeeds(
        f"curl -sSf -H 'Authorization: Bearer operator' {ORIGIN}/api/hosts/{host}/runs/{run}"
        " | grep -F '\"completed\":\"'",
        timeout=300,
    )
    return api(f"/api/hosts/{host}/runs/{run}")


def lines(host, run):
    answer = api(f"/api/hosts/{host}/runs/{run}/lines?limit=10000")
    return [line["line"] for line in answer["lines"]]


start_all()
dashboard.wait_for_unit("switchyard-dashboard.service")
dashboard.wait_for_open_port(8000)
