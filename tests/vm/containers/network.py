"""The network of a test: a bridge in a network namespace of its own, and one namespace for each node."""

import subprocess
from pathlib import Path


class CannotRun(Exception):
    """This computer lacks what containers need."""


def ip(*arguments: str) -> None:
    ended = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CannotRun(f"ip {' '.join(arguments)}: {ended.stderr.strip()}")


class Network:
    """Nodes have the addresses 192.168.1.1, 192.168.1.2, … in the order of their names, as in the driver."""

    def __init__(self, prefix: str, nodes: list[str]) -> None:
        self._hub = prefix
        self._prefix = prefix
        self.addresses = {node: f"192.168.1.{number}" for number, node in enumerate(sorted(nodes), 1)}

    def __enter__(self) -> "Network":
        try:
            self._make()
        except CannotRun:
            self._remove()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._remove()

    def namespace_of(self, node: str) -> Path:
        return Path("/run/netns") / self._name(node)

    def pull_cable(self, node: str) -> None:
        ip("-n", self._hub, "link", "set", node, "down")

    def plug_cable(self, node: str) -> None:
        ip("-n", self._hub, "link", "set", node, "up")

    def _name(self, node: str) -> str:
        return f"{self._prefix}-{node}"

    def _make(self) -> None:
        ip("netns", "add", self._hub)
        ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._hub, "link", "set", "bridge", "up")
        for node, address in self.addresses.items():
            name = self._name(node)
            ip("netns", "add", name)
            ip("-n", self._hub, "link", "add", node, "type", "veth", "peer", "name", "eth1", "netns", name)
            ip("-n", self._hub, "link", "set", node, "master", "bridge", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth1")
            ip("-n", name, "link", "set", "eth1", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for name in [self._hub, *map(self._name, self.addresses)]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
