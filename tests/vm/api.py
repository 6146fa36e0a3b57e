# What every script begins with: the dashboard as a program sees it that has a token.
import json
from typing import Any

ORIGIN = "http://dashboard:8000"


def api(path: str, body: Any = None, token: str = "operator") -> Any:
    """Returns what the dashboard answers to a program with this API token."""
    argv = f"curl -sS --fail-with-body -H 'Authorization: Bearer {token}' {ORIGIN}{path}"
    if body is not None:
        argv += f" --json '{json.dumps(body)}'"
    return json.loads(dashboard.succeed(argv))


def await_online(host: str, online: bool = True) -> None:
    shown = json.dumps({"online": online}, separators=(",", ":"))[1:-1]
    dashboard.wait_until_succeeds(
        f"curl -sSf -H 'Authorization: Bearer operator' {ORIGIN}/api/hosts/{host} | grep -F '{shown}'",
        timeout=120,
    )


def start(host: str, command: str) -> str:
    """Starts a run, and returns its id."""
    run_id: str = api(f"/api/hosts/{host}/command", {"command": command})["run_id"]
    return run_id


def await_end(host: str, run_id: str) -> Any:
    """Waits until the run is over, and returns what the dashboard shows of it."""
    dashboard.wait_until_succeeds(
        f"curl -sSf -H 'Authorization: Bearer operator' {ORIGIN}/api/hosts/{host}/runs/{run_id}"
        " | grep -F '\"completed\":\"'",
        timeout=300,
    )
    return api(f"/api/hosts/{host}/runs/{run_id}")


def lines(host: str, run_id: str) -> list[str]:
    answer = api(f"/api/hosts/{host}/runs/{run_id}/lines?limit=10000")
    return [line["line"] for line in answer["lines"]]


start_all()
dashboard.wait_for_unit("switchyard-dashboard.service")
dashboard.wait_for_open_port(8000)
