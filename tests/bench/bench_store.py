"""A durable state transition against an fdatasync of 4 KiB on the same file system."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from timing import Row, ratio_row

from rc_daemon.store.connection import Connection
from rc_daemon.store.dialect import engine
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos.model import Task, TaskSpec, TaskState

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TASK = Task("t1", TaskSpec("make the tests pass", name="make-the-tests-pass"), TaskState.WORKING, NOW, NOW)
# One round of the other benches is a process; here it is a fraction of a millisecond.
PER_ROUND = 50


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    # Beside the checkout: /tmp may be in memory.
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=os.environ.get("RC_BENCH_DIR", ".")) as place:
        sync, writer, awaited, caller = asyncio.run(measure(Path(place).absolute(), rounds * PER_ROUND))
    yield ratio_row("durable state transition, in the writer thread", writer, sync, "fdatasync", 1.3, unit="us")
    yield ratio_row("durable state transition, as awaited", awaited, caller, "fdatasync", 2.0, unit="us")


async def measure(place: Path, count: int) -> tuple[float, float, float, float]:
    """Medians: fdatasync and transaction on a thread of their own; transaction as awaited, and its fdatasync."""
    url = f"sqlite:///{place}/registry.db"
    store = await Store.open(url)
    fdatasync = syncing(place / "plain")
    sync, writer = await asyncio.to_thread(in_one_thread, url, fdatasync, count)
    awaited, caller = [], []
    for _ in range(count):
        caller.append(fdatasync())
        began = time.perf_counter()
        await store.transact(transition)
        awaited.append(time.perf_counter() - began)
    await store.close()
    return median(sync), median(writer), median(awaited), median(caller)


def in_one_thread(url: str, fdatasync: Callable[[], float], count: int) -> tuple[list[float], list[float]]:
    """Both in turns, on the thread that owns the connection."""
    connection = Connection(engine(url), reader=False)
    sync, writer = [], []
    for _ in range(count):
        sync.append(fdatasync())
        began = time.perf_counter()
        connection.begin()
        tx = Tx(connection)
        transition(tx)
        tx.finish()
        connection.commit()
        writer.append(time.perf_counter() - began)
    connection.close()
    return sync, writer


def transition(tx: Tx) -> None:
    """An event and the changed task."""
    tx.append("task.state", TASK.id, {"from": "preparing", "to": "working", "reason": ""})
    tx.put_task(TASK)


def syncing(path: Path) -> Callable[[], float]:
    """Appends 4 KiB to a file and waits for the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    block = b"x" * 4096

    def sync() -> float:
        began = time.perf_counter()
        os.write(file, block)
        os.fdatasync(file)
        return time.perf_counter() - began

    return sync
