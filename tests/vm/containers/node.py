"""The files of a node: what NixOS makes of its values, as far as the scripts need it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from containers import unit

CREDENTIALS = "/run/credentials"
GIT_ID = 995
SYSTEMS = "opt/system"
BOOTED = "booted"
WANTED = "multi-user.target.wants"


def toml(table: dict[str, Any], path: str = "") -> str:
    """Returns a table as TOML; what JSON writes of text, numbers and lists is TOML, too."""
    keys = {name: f"{path}{json.dumps(name)}" for name in table}
    return "".join(
        toml(value, f"{keys[name]}.") if isinstance(value, dict) else f"{keys[name]} = {json.dumps(value)}\n"
        for name, value in table.items()
    )


def etc_of(name: str, values: dict[str, Any]) -> dict[str, str]:
    """Returns the files below /etc."""
    files = {"hostname": f"{name}\n"}
    services = []
    if (dashboard := values.get("dashboard")) is not None:
        settings = {
            "agents_file": "/etc/switchyard/agents",
            "users_file": f"{CREDENTIALS}/switchyard-dashboard.service/users",
            "data_dir": "/var/lib/switchyard",
            **dashboard["settings"],
        }
        agents = [f"{host} {hash}\n" for host, hashes in dashboard["agents"].items() for hash in hashes]
        files["switchyard/dashboard.toml"] = toml(settings)
        files["switchyard/agents"] = "".join(agents)
        files["switchyard-users"] = "".join(f"{line}\n" for line in dashboard["users"])
        services.append(unit.dashboard())
    if (agent := values.get("agent")) is not None:
        settings = {
            "host_id": name,
            "state_dir": "/var/lib/switchyard-agent",
            "token_file": f"{CREDENTIALS}/switchyard-agent.service/token",
            **agent["settings"],
        }
        files["switchyard/agent.toml"] = toml(settings)
        files["switchyard-token"] = agent["token"]
        services.append(unit.agent(values.get("mark")))
    if (folder := values.get("git")) is not None:
        services.append(unit.git_daemon(folder))
    for service_name, text in services:
        files[f"systemd/system/{service_name}"] = text
    return {**files, **values.get("etc", {})}


def write_system(root: Path, system: str, name: str, values: dict[str, Any]) -> None:
    """Writes a system of the node, as a folder like those of the store."""
    folder = root / SYSTEMS / system
    for path, text in etc_of(name, values).items():
        file = folder / "etc" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.name in ("switchyard-users", "switchyard-token"):
            file.chmod(0o400)
        if file.suffix == ".service":
            wanted = file.parent / WANTED
            wanted.mkdir(exist_ok=True)
            (wanted / file.name).symlink_to(f"../{file.name}")
    (folder / "bin").mkdir(parents=True)
    shutil.copy2(Path(__file__).parent / "switch-to-configuration", folder / "bin")
    (folder / "sw").symlink_to("/opt/sw")


def furnish(root: Path, name: str, values: dict[str, Any], addresses: dict[str, str], program: Path) -> None:
    """Puts the node's system and all others to which it can be switched into its root, and the program."""
    write_system(root, BOOTED, name, values)
    (root / SYSTEMS / BOOTED / "specialisation").mkdir()
    for system, change in values.get("systems", {}).items():
        changed = {**values, **change}
        changed["agent"] = values["agent"] if change.get("agent", True) else None
        write_system(root, system, name, changed)
        (root / SYSTEMS / BOOTED / "specialisation" / system).symlink_to(f"/{SYSTEMS}/{system}")
    shutil.copytree(root / SYSTEMS / BOOTED / "etc", root / "etc", symlinks=True, dirs_exist_ok=True)
    hosts = [f"{address} {node}\n" for node, address in addresses.items()]
    (root / "etc/hosts").write_text("".join(["127.0.0.1 localhost\n", *hosts]))
    links = {
        "booted-system": f"/{SYSTEMS}/{BOOTED}",
        "current-system": f"/{SYSTEMS}/{BOOTED}",
        "wrappers": "/opt/packages/wrappers",
    }
    lines = [f"L /run/{link} - - - - {target}\n" for link, target in links.items()]
    (root / "etc/tmpfiles.d/nixos.conf").write_text("".join(lines))
    # Made by a daemon of Debian that the node has not.
    (root / "etc/systemd/system/ssh.service").symlink_to("/dev/null")
    rebuild = root / "opt/packages/nixos-rebuild/bin/nixos-rebuild"
    rebuild.write_text("#!/bin/sh\necho 'nothing can be built here' >&2\nexit 1\n")
    rebuild.chmod(0o755)
    shutil.copy2(program, root / "usr/local/bin/switchyard")
    if (folder := values.get("git")) is not None:
        add_git(root, folder)


def add_git(root: Path, folder: str) -> None:
    with (root / "etc/passwd").open("a") as file:
        file.write(f"git:x:{GIT_ID}:{GIT_ID}::{folder}:/bin/sh\n")
    with (root / "etc/group").open("a") as file:
        file.write(f"git:x:{GIT_ID}:\n")
    place = root / folder.lstrip("/")
    place.mkdir(parents=True)
    os.chown(place, GIT_ID, GIT_ID)
