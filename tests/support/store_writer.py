"""A process that writes to a registry until it is killed, and says on stdout what was acknowledged.

Each line: the sequence number of the event, after its transaction returned.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
from dataclasses import replace
from datetime import UTC, datetime

from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Task, TaskSpec, TaskState

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TASK = Task("t1", TaskSpec("prompt", name="n"), TaskState.QUEUED, NOW, NOW)


def write(tx: Tx) -> int:
    """One event, the projection and the outbox, each telling of the same number."""
    seq = tx.append("notice", TASK.id, {"padding": "x" * 200})
    tx.put_task(replace(TASK, reason=str(seq)))
    tx.outbox_add("s1", "w1", b"%8d" % seq)
    tx.put_doc("numbers", "last", {"seq": seq})
    return seq


async def main(url: str, writers: int, count: int) -> None:
    """Write with several writers at once, so that a kill meets every part of a transaction."""
    store = await Store.open(url)

    async def writer() -> None:
        for _ in range(count):
            os.write(1, b"%d\n" % await store.transact(write))

    try:
        await asyncio.gather(*(writer() for _ in range(writers)))
    except RemoteClaudeError as error:
        os.write(1, f"{error.code}: {error.message}\n".encode())
    await store.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--count", type=int, help="one writer, so many transactions")
    arguments.add_argument("--file-limit", type=int, help="bytes that any file may grow to")
    given = arguments.parse_args()
    if given.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_limit, given.file_limit))
    asyncio.run(main(given.url, 1 if given.count else 4, given.count or 1_000_000))
