"""Interleaved measuring: each round runs every contestant once, so that a noisy minute hits all of them alike."""

from __future__ import annotations

import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Contestant = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, against which peer, and the goal."""

    what: str
    measured: str
    goal: str
    met: bool
    detail: str = ""


def interleave(contestants: Mapping[str, Contestant], rounds: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each contestant, by round; the order within a round is shuffled."""
    names = list(contestants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    shuffle = random.Random(1)
    for round_number in range(-warm_up, rounds):
        shuffle.shuffle(names)
        for name in names:
            seconds = contestants[name]()
            if round_number >= 0:
                samples[name].append(seconds)
    return samples


def medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each contestant."""
    return {name: statistics.median(values) for name, values in samples.items()}


def ratio_row(what: str, ours: float, peer: float, peer_name: str, most: float, *, unit: str = "ms") -> Row:
    """Ours over the peer, which may be at most `most`."""
    ratio = ours / peer
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
    detail = f"{ours * scale:.2f} {unit} against {peer * scale:.2f} {unit}"
    return Row(what, f"{ratio:.2f}x {peer_name}", f"<= {most:g}x", ratio <= most, detail)


def command(argv: Sequence[str], env: Mapping[str, str] | None = None, *, deadline: float = 60) -> Contestant:
    """A contestant that runs a command with its output thrown away; the command must succeed."""
    full = {**os.environ, **(env or {})}

    def run() -> float:
        began = time.perf_counter()
        subprocess.run(
            argv, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=deadline
        )
        return time.perf_counter() - began

    return run


def machine() -> str:
    """The machine in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, Python {platform.python_version()}"
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | goal | | in detail |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.what} | {row.measured} | {row.goal} | {'met' if row.met else 'MISSED'} | {row.detail} |"
        for row in rows
    ]
    return "\n".join(lines)
