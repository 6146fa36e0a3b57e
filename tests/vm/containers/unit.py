"""The text of the units, from the file that the modules of NixOS read."""

import json
from pathlib import Path
from typing import Any

UNITS = json.loads((Path(__file__).parents[3] / "nixos-modules/units.json").read_text())

# What NixOS adds to the PATH of every service.
OF_EVERY_SERVICE = ["coreutils", "findutils", "gnugrep", "gnused", "systemd"]


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def section(settings: dict[str, Any]) -> str:
    """Returns settings as NixOS writes them: a list is its key several times."""
    lines = [
        f"{key}={plain(one)}\n"
        for key, value in settings.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return "".join(lines)


def path_of(values: dict[str, Any]) -> str:
    packages = [*values["path"], *OF_EVERY_SERVICE, *values["lastPath"]]
    folders = [name if name.startswith("/") else f"/opt/packages/{name}" for name in packages]
    return ":".join(f"{folder}/{kind}" for kind in ("bin", "sbin") for folder in folders)


def text(values: dict[str, Any], more: dict[str, Any]) -> str:
    about = {"Description": values["description"], "After": " ".join(values["after"]), **values["unitConfig"]}
    return f"[Unit]\n{section(about)}\n[Service]\n{section(values['serviceConfig'])}{section(more)}"


def agent(mark: str | None) -> tuple[str, str]:
    values = UNITS["agent"]
    environment = [f"PATH={path_of(values)}", "HOME=/root"] + ([f"MARK={mark}"] if mark is not None else [])
    more = {
        "ExecStart": "/usr/local/bin/switchyard agent --config /etc/switchyard/agent.toml",
        "Environment": environment,
        "StateDirectory": "switchyard-agent",
        "LoadCredential": "token:/etc/switchyard-token",
    }
    return "switchyard-agent.service", text(values, more)


def dashboard() -> tuple[str, str]:
    more = {
        "ExecStart": "/usr/local/bin/switchyard dashboard --config /etc/switchyard/dashboard.toml",
        "StateDirectory": "switchyard",
        "LoadCredential": "users:/etc/switchyard-users",
    }
    return "switchyard-dashboard.service", text(UNITS["dashboard"], more)


def git_daemon(folder: str) -> tuple[str, str]:
    settings = {
        "ExecStart": f"/usr/bin/git daemon --reuseaddr --export-all --base-path={folder}",
        "User": "git",
        "Group": "git",
    }
    return "git-daemon.service", f"[Service]\n{section(settings)}"
