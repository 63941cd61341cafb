"""What the processes of this sandbox use (Linux: proc(5), cgroup v2), and a short history of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from typing import NamedTuple

from rc_agent import home, tree
from rc_agent.system import stat_fields
from rc_protos.v1 import health_pb2 as pb

# Seconds between two samples while nobody asks, and how many are kept.
TICK = 30.0
KEPT = 120
# While somebody watches.
WATCHED = 2.0
_CGROUP = "/sys/fs/cgroup"


class Use(NamedTuple):
    """Processor seconds since the beginning, bytes of memory, the most of it (0: no limit), processes."""

    seconds: float
    memory: int
    memory_limit: int
    processes: int


class Sampler:
    """Samples now and then; the newest is `history[-1]`."""

    def __init__(self, state: str) -> None:
        """`state`: the agent's state directory, by which processes of this sandbox are known."""
        self.history: deque[pb.Stats] = deque(maxlen=KEPT)
        self._state = state
        self._before: tuple[float, float] | None = None

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(TICK)

    async def sample(self) -> pb.Stats:
        """A new sample; its processors are those in use since the sample before."""
        used = await asyncio.to_thread(lambda: _of_cgroup() or _of_processes(self._state))
        now = time.monotonic()
        before, self._before = self._before, (now, used.seconds)
        made = pb.Stats(
            # What an ended process has used may be lost: less than before is nothing.
            cpu=max(0.0, used.seconds - before[1]) / max(now - before[0], 0.001) if before else 0.0,
            memory_bytes=used.memory,
            memory_limit_bytes=used.memory_limit,
            processes=used.processes,
        )
        made.time.GetCurrentTime()
        disk = os.statvfs(home.workspace())
        made.disk_free_bytes, made.disk_bytes = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        self.history.append(made)
        return made


def _of_processes(state: str) -> Use:
    """Sums over the processes that were started here; shared memory counts for each."""
    ticks = pages = count = 0
    for pid in tree.tagged(b"RC_STATE=" + os.fsencode(state)):
        fields = stat_fields(pid)
        if fields:
            # utime, stime, and those of children that have ended.
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
            count += 1
    return Use(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"), 0, count)


def _of_cgroup() -> Use | None:
    """Of the whole container, where it has a cgroup to itself: exact, what has ended included."""
    # Only inside a cgroup namespace is our own group the root that is mounted; the machine's root has no such files.
    if _read("/proc/self/cgroup").strip() != "0::/":
        return None
    processor, memory = _pairs(f"{_CGROUP}/cpu.stat"), _read(f"{_CGROUP}/memory.current")
    if "usage_usec" not in processor or not memory:
        return None
    # A cache of files goes when the memory is needed.
    cache = _pairs(f"{_CGROUP}/memory.stat").get("inactive_file", 0)
    limit = _read(f"{_CGROUP}/memory.max").strip()
    return Use(
        processor["usage_usec"] / 1e6,
        max(0, int(memory) - cache),
        int(limit) if limit.isdigit() else 0,
        int(_read(f"{_CGROUP}/pids.current") or 0),
    )


def _pairs(path: str) -> dict[str, int]:
    words = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
