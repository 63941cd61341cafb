"""From kill -9 of the daemon until an attached client shows what the session prints after it."""

from __future__ import annotations

import os
import re
import signal
import statistics
import time
from collections.abc import Iterator

from installation import Installation
from terminal import Terminal
from timing import Row

# Prints the machine's monotonic clock about every millisecond; a sandbox has the same one.
PRINTER = (
    "import itertools, time; "
    "any(print('<%d>' % time.monotonic_ns(), flush=True) or time.sleep(0.001) for _ in itertools.count())"
)


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    with Installation() as rc:
        task = rc.task("recovery")
        with Terminal([*rc.argv, "shell", task, "--name", "clock"], rc.env) as terminal:
            terminal.quiet(1.0)
            terminal.type(f'exec python3 -c "{PRINTER}"\n'.encode())
            terminal.wait_for(b">\r\n<")
            times = [recover(rc, terminal) for _ in range(max(3, rounds // 4))]
    median = statistics.median(times)
    detail = f"{len(times)} kills, worst {max(times) * 1e3:.0f} ms; the client starts the new daemon itself"
    yield Row("kill -9 of the daemon to streaming again", f"{median * 1e3:.0f} ms", "reported", True, detail)


def recover(rc: Installation, terminal: Terminal) -> float:
    """Kill the daemon; seconds until something printed after that is on the client's terminal."""
    pid = rc.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic_ns()
    ends = time.monotonic() + 60
    tail = b""
    while time.monotonic() < ends:
        tail = tail[-64:] + terminal.read(60)
        printed = [int(number) for number in re.findall(rb"<(\d+)>", tail)]
        if printed and printed[-1] > killed:
            return (time.monotonic_ns() - killed) / 1e9
    raise TimeoutError("the client did not stream again within 60 s")
