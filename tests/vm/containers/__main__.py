"""Runs scripts of the NixOS test driver, with a container for each node: `python -m containers ROOT PROGRAM TEST…`.

The driver's names are those of declarations.py; `check_types` has mypy see that they are all there."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from containers import node
from containers.machine import Machine, retry
from containers.network import CannotRun, Network

if TYPE_CHECKING:
    import declarations

FOLDER = Path(__file__).parents[1]


class Log:
    """Prints to standard output."""

    def log(self, message: str, attributes: dict[str, str] = {}) -> None:
        print(message, flush=True)

    def info(self, *args: object, **_kwargs: object) -> None:
        print(*args, flush=True)

    warning = info
    error = info

    @contextlib.contextmanager
    def nested(self, message: str, attributes: dict[str, str] = {}) -> Iterator[None]:
        began = time.monotonic()
        print(f"  {message}", flush=True)
        yield
        print(f"  {message}: done after {time.monotonic() - began:.1f} s", flush=True)

    def log_serial(self, message: str, machine: str) -> None:
        print(f"{machine}: {message}", flush=True)


class Driver:
    """The machines of one test."""

    def __init__(self, machines: list[Machine], log: Log) -> None:
        self.machines = machines
        self._log = log

    def start_all(self) -> None:
        for machine in self.machines:
            machine.start()

    def join_all(self) -> None:
        for machine in self.machines:
            machine._await_end(600)

    def subtest(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._log.nested(name)


def check_types(driver: Driver, machine: Machine, log: Log) -> object:
    """Is never called: mypy compares the types."""
    # Its list is of a narrower type.
    declared_driver: "declarations.Driver" = driver  # type: ignore[assignment]
    declared_machine: "declarations.Machine" = machine
    declared_log: "declarations.Logger" = log
    declared_retry: "declarations.Retry" = retry
    return (declared_driver, declared_machine, declared_log, declared_retry)


def names(driver: Driver, log: Log) -> dict[str, Any]:
    """Returns the names that a script may use."""
    given: dict[str, Any] = {machine.name: machine for machine in driver.machines}
    if len(driver.machines) == 1:
        given["machine"] = driver.machines[0]
    return given | {
        "start_all": driver.start_all,
        "join_all": driver.join_all,
        "subtest": driver.subtest,
        "retry": retry,
        "machines": driver.machines,
        "driver": driver,
        "log": log,
        "serial_stdout_off": lambda: None,
        "serial_stdout_on": lambda: None,
    }


@contextlib.contextmanager
def mounted(root: Path, folder: Path) -> Iterator[Path]:
    """Lays a folder over the root, so that what a node writes goes away with it."""
    unmount(folder)
    for part in ("upper", "work", "mnt"):
        (folder / part).mkdir(parents=True)
    options = f"lowerdir={root},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, folder / "mnt"], check=True)
    try:
        yield folder / "mnt"
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder / "mnt"], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(root: Path, program: Path, test: str, values: dict[str, Any]) -> Iterator[Driver]:
    """The nodes of a test, which are gone afterwards."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network(f"switchyard-{os.getpid()}", list(values)))
        machines = []
        for name, of_node in sorted(values.items()):
            folder = root.parent / f"vm-{test}-{name}"
            mount = stack.enter_context(mounted(root, folder))
            node.furnish(mount, name, of_node, network.addresses, program)
            machine = Machine(name, folder, network)
            stack.callback(machine.crash)
            machines.append(machine)
        yield Driver(machines, Log())


def journal_of(machine: Machine) -> str:
    with contextlib.suppress(Exception):
        return machine.execute("journalctl --no-pager -n 40 -o short-monotonic", timeout=30)[1]
    return "it has no journal\n"


def run(root: Path, program: Path, test: str) -> bool:
    """Runs one test, and returns whether it passed."""
    options = ["--eval", "--strict", "--json", "--option", "build-users-group", ""]
    evaluate = ["nix-instantiate", *options, str(FOLDER / "nodes.nix"), "-A", test]
    values = json.loads(subprocess.run(evaluate, stdout=subprocess.PIPE, check=True).stdout)
    script = "".join((FOLDER / file).read_text() for file in ("api.py", f"{test}.py"))
    print(f"vm-{test}", flush=True)
    with running(root, program, test, values) as driver:
        try:
            exec(compile(script, f"{test}.py", "exec"), names(driver, Log()))
        except Exception:
            traceback.print_exc()
            for machine in driver.machines:
                print(f"--- {machine.name}\n{journal_of(machine)}", flush=True)
            return False
    return True


def main() -> int:
    root, program, *tests = sys.argv[1:]
    # Whoever ends this ends the containers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        results = [run(Path(root), Path(program), test) for test in tests]
    except CannotRun as error:
        print(f"SKIPPED: containers on a network of their own cannot be made: {error}")
        return 0
    print(f"# pass {results.count(True)}\n# fail {results.count(False)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
