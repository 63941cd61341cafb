"""Commands that must answer at once, against an interpreter that does nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from installation import BIN, Installation
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos import ids
from rc_protos.model import Task, TaskSpec, TaskState
from timing import Row, command, interleave, medians, ratio_row

TASKS = 1000


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    with Installation() as rc:
        rc.rc("daemon", "stop")
        asyncio.run(fill(f"sqlite:///{rc.home}/data/registry.db"))
        rc.rc("daemon", "start")
        nothing = command([str(BIN / "python"), "-c", "pass"])
        contestants = {
            "python": nothing,
            "ls": command([*rc.argv, "ls"], rc.env),
            "help": command([*rc.argv, "--help"], rc.env),
            "complete": command([*rc.argv, "__complete", "task", "t-01"], rc.env),
        }
        median = medians(interleave(contestants, rounds * 2))
        peer = "python -c pass"
        yield ratio_row(f"rc ls, warm daemon, {TASKS} tasks", median["ls"], median["python"], peer, 2.0)
        yield ratio_row("rc --help", median["help"], median["python"], peer, 3.0)
        yield ratio_row("completion of an id", median["complete"], median["python"], peer, 2.5)
        asyncio.run(empty(rc))


async def fill(url: str) -> None:
    """A registry with many tasks."""
    store = await Store.open(url)
    now = datetime.now(UTC)
    prompt = "Make the tests of the payment module pass without touching its public interface"
    sample = Task("", TaskSpec(prompt, coding_agent="claude", repository="/src/shop"), TaskState.DONE, now, now)

    def work(tx: Tx) -> None:
        for number in range(TASKS):
            spec = replace(sample.spec, name=f"t-{number:04d}")
            tx.put_task(replace(sample, id=ids.new_id(), spec=spec, branch=f"rc/t-{number:04d}", saved_at=now))

    await store.transact(work)
    await store.close()


async def empty(rc: Installation) -> None:
    """Take the tasks out again: they have no sandboxes to be removed."""
    subprocess.run([*rc.argv, "daemon", "stop"], env=rc.env | {"HOME": str(rc.home)}, check=True, capture_output=True)
    store = await Store.open(f"sqlite:///{rc.home}/data/registry.db")

    def work(tx: Tx) -> None:
        for task in tx.list_tasks():
            tx.delete_task(task.id)

    await store.transact(work)
    await store.close()
    rc.rc("daemon", "start")


if __name__ == "__main__":
    sys.exit("run scripts/bench start")
