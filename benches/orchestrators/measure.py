"""Runs a command and measures it: wall time, processor time of it and all its children, peak memory.

Linux only."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage

PR_SET_CHILD_SUBREAPER = 36
#: A small shell starts the command, because the kernel counts the memory of whoever forks as the child's
#: peak: started from here, no tool could be seen to need less than this Python does. It waits for a line, so
#: that its own start is not measured, and it leaves the command to this process, which adopts orphans.
LAUNCH = 'read -r go; "$@" </dev/null >"$LOG" 2>&1 & echo $!'


@dataclass(frozen=True)
class Measured:
    """`rss_mb` is that of the largest process, not of all together."""

    wall: float
    cpu: float
    rss_mb: float
    code: int | None

    @property
    def timed_out(self) -> bool:
        return self.code is None


class TimeIsOver(Exception):
    pass


def adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def measure(argv: list[str], folder: Path, env: dict[str, str], log: Path, timeout: float) -> Measured:
    """Runs the command to its end, or kills it with all its children when time is over."""
    adopt_orphans()
    launcher = subprocess.Popen(
        ["sh", "-c", LAUNCH, "sh", *argv],
        cwd=folder,
        env=env | {"LOG": str(log)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.01)
    begin = time.perf_counter()
    pid = int(launcher.communicate("go\n")[0])
    code, usage = wait(pid, timeout)
    wall = time.perf_counter() - begin
    # What the command left behind has worked for it, too.
    cpu = usage.ru_utime + usage.ru_stime + sum(u.ru_utime + u.ru_stime for u in reap_orphans())
    return Measured(wall, cpu, usage.ru_maxrss / 1024, code)


def wait(pid: int, timeout: float) -> tuple[int | None, struct_rusage]:
    """Exit code (`None` if it had to be killed) and resources used."""

    def ring(*_: object) -> None:
        raise TimeIsOver

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        _, status, usage = os.wait4(pid, 0)
        return os.waitstatus_to_exitcode(status), usage
    except TimeIsOver:
        kill_tree(pid)
        return None, os.wait4(pid, 0)[2]
    except KeyboardInterrupt:
        # The command does not hear it: it was started in the background.
        kill_tree(pid)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def reap_orphans(patience: float = 2.0) -> Iterator[struct_rusage]:
    """Waits for adopted processes, and kills those that do not end."""
    due = time.monotonic() + patience
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            yield usage
        elif time.monotonic() > due:
            for child in children(os.getpid()):
                kill_tree(child)
        else:
            time.sleep(0.005)


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and all below it, as when a machine or a batch job ends: nobody can clean up.

    Each is stopped before its children are listed, so that none can start another unseen."""
    found = []
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        if send(process, signal.SIGSTOP):
            found.append(process)
            waiting += children(process)
    for process in found:
        send(process, signal.SIGKILL)


def send(pid: int, which: signal.Signals) -> bool:
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Of all threads: each has its own list."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in listing.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
