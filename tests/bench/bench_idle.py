"""What an idle daemon and an idle agent cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from rc_protos import platform

from installation import Installation
from timing import Row

MEBI = 2**20


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    with Installation() as rc:
        time.sleep(3)
        yield memory("idle daemon, memory before any task", rc.daemon_pid(), 80)
        rc.task("idle")
        time.sleep(3)
        pid = rc.daemon_pid()
        yield processor(pid, seconds=max(10, rounds))
        yield memory("daemon, memory with one task at rest", pid)
        (agent,) = agents(rc.home)
        yield memory("idle agent, memory", agent, 35)


def memory(what: str, pid: int, most: float = 0) -> Row:
    """Resident memory of a process; without a goal where `most` is 0."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024 / MEBI
    goal = f"<= {most:g} MiB" if most else "-"
    return Row(what, f"{resident:.1f} MiB", goal, not most or resident <= most)


def processor(pid: int, seconds: int) -> Row:
    """Share of one core over some seconds, by the scheduler's own count."""
    before = run_time(pid)
    time.sleep(seconds)
    share = (run_time(pid) - before) / seconds
    return Row("idle daemon, processor", f"{share:.2%} of one core", "<= 0.3 %", share <= 0.003, f"over {seconds} s")


def run_time(pid: int) -> float:
    """Seconds on a processor, of all threads, to the nanosecond (the ticks of /proc/pid/stat are 10 ms)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def agents(home: Path) -> list[int]:
    """The agents of this installation's sandboxes."""
    found = []
    for record in (home / "data/sandboxes/local").glob("*/process.json"):
        for pid in platform.descendants(json.loads(record.read_text())["pid"]):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"serve" in words:
                found.append(pid)
    return found
