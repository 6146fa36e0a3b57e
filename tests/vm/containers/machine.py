"""A container in the place of a virtual machine: what scripts of the NixOS test driver call is here."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from containers.network import Network

# A host's own PATH, and where Debian has its programs.
PATH = "/run/wrappers/bin:/run/current-system/sw/bin:/usr/bin:/usr/sbin"


class TestFailure(Exception):
    """A machine did not do what the script expects."""


def retry(fn: Callable[[bool], bool], timeout: int = 900) -> None:
    """Calls `fn` until it says true; its argument tells whether it is called for the last time."""
    end = time.monotonic() + timeout
    while not fn(False):
        if time.monotonic() > end:
            if fn(True):
                return
            raise TestFailure(f"not done within {timeout} s")
        time.sleep(0.1)


class Machine:
    """One node; its files are a folder's `mnt`."""

    def __init__(self, name: str, folder: Path, network: Network) -> None:
        self.name = name
        self.root = folder / "mnt"
        self._console = folder / "console"
        self._network = network
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._is_booted = False

    def start(self, allow_reboot: bool = False) -> None:
        if self.is_up():
            return
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [
                    "systemd-nspawn",
                    "--quiet",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                    "--boot",
                    f"--hostname={self.name}",
                    f"--network-namespace-path={self._network.namespace_of(self.name)}",
                    "-D",
                    str(self.root),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_LOCK": "0"},
            )
        self._is_booted = False

    def is_up(self) -> bool:
        return self._nspawn is not None and self._nspawn.poll() is None

    def shutdown(self) -> None:
        if self.is_up():
            self._run("poweroff", None)
            self._await_end(60)

    def reboot(self) -> None:
        self.shutdown()
        self.start()

    def crash(self) -> None:
        """Ends all processes of the machine at once."""
        leader = self._leader()
        if leader is not None:
            os.kill(leader, signal.SIGKILL)
        elif self._nspawn is not None:
            self._nspawn.kill()
        self._await_end(60)

    def block(self) -> None:
        self._network.pull_cable(self.name)

    def unblock(self) -> None:
        self._network.plug_cable(self.name)

    def sleep(self, secs: int) -> None:
        time.sleep(secs)

    def execute(
        self, command: str, check_return: bool = True, check_output: bool = True, timeout: int | None = 900
    ) -> tuple[int, str]:
        self._await_boot()
        ended = self._run(command, timeout)
        return (ended.returncode if check_return else -2, ended.stdout if check_output else "")

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout=timeout)
            if status != 0:
                raise TestFailure(f"{self.name}: `{command}` failed with {status}: {said}")
            output += said
        return output

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout=timeout)
            if status == 0:
                raise TestFailure(f"{self.name}: `{command}` succeeded, and must not: {said}")
            output += said
        return output

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str:
        return self._wait_until(command, timeout, lambda status: status == 0)

    def wait_until_fails(self, command: str, timeout: int = 900) -> str:
        return self._wait_until(command, timeout, lambda status: status != 0)

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = 900) -> None:
        def is_active(_last: bool) -> bool:
            state = self.get_unit_property(unit, "ActiveState", user)
            if state == "failed":
                raise TestFailure(f"{self.name}: {unit} failed: {self.systemctl(f'status {unit}', user)[1]}")
            return state == "active"

        retry(is_active, timeout)

    def wait_for_file(self, filename: str, timeout: int = 900) -> None:
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        self.wait_until_succeeds(f"timeout 1 bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        self.wait_until_fails(f"timeout 1 bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        of_user = f"--machine={shlex.quote(user)}@ --user " if user is not None else ""
        return self.execute(f"systemctl {of_user}{q}")

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        status, said = self.systemctl(f"--no-pager show {shlex.quote(unit)}", user)
        if status != 0:
            raise TestFailure(f"{self.name}: nothing is known of {unit}: {said}")
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:
        return self.get_unit_info(unit, user)[property]

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise TestFailure(f"{self.name}: {unit} is {state}, not {require_state}")

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"start {jobname}", user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"stop {jobname}", user)

    def copy_from_host(self, source: str, target: str) -> None:
        place = self.root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)

    def copy_from_machine(self, source: str, target_dir: str = "") -> None:
        target = Path(os.environ.get("out", ".")) / target_dir
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.root / source.lstrip("/"), target)

    def _leader(self) -> int | None:
        """Returns the machine's first process."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return None
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _run(self, command: str, timeout: int | None) -> subprocess.CompletedProcess[str]:
        leader = self._leader()
        if leader is None:
            raise TestFailure(f"{self.name} is not running")
        limit = ["timeout", "--kill-after=1", str(timeout)] if timeout is not None else []
        environment = ["env", "--ignore-environment", f"PATH={PATH}", "HOME=/root", "USER=root"]
        inside = ["nsenter", "--target", str(leader), "--all", "--", *environment, *limit]
        return subprocess.run(
            [*inside, "bash", "-c", f"set -euo pipefail; {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )

    def _await_boot(self) -> None:
        self.start()
        if self._is_booted:
            return

        def has_booted(_last: bool) -> bool:
            if not self.is_up():
                said = self._console.read_text(errors="replace")
                raise TestFailure(f"{self.name} did not start: {said}")
            if self._leader() is None:
                return False
            return self._run("systemctl is-active --quiet basic.target 2>/dev/null", 30).returncode == 0

        retry(has_booted, 180)
        self._is_booted = True

    def _await_end(self, seconds: int) -> None:
        if self._nspawn is not None:
            self._nspawn.wait(seconds)
        self._is_booted = False

    def _wait_until(self, command: str, timeout: int, is_good: Callable[[int], bool]) -> str:
        said = ""

        def try_it(_last: bool) -> bool:
            nonlocal said
            status, said = self.execute(command, timeout=timeout)
            return is_good(status)

        try:
            retry(try_it, timeout)
        except TestFailure as error:
            raise TestFailure(f"{self.name}: `{command}`: {error}: {said}") from error
        return said
