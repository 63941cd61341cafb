"""The registry under kill -9 and on a full disk: nothing acknowledged is lost, nothing is half-written."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos.errors import ErrorCode, RemoteClaudeError
from support.readonly import read_only

WRITER = Path(__file__).parents[1] / "support/store_writer.py"
ROUNDS = 50


def url(place: Path) -> str:
    return f"sqlite:///{place}/registry.db"


def start(place: Path, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*prefix, sys.executable, str(WRITER), url(place), *arguments], stdout=subprocess.PIPE)


def write_until_killed(place: Path, seconds: float) -> list[int]:
    """The acknowledged numbers of a writer that was killed so long after its first one."""
    with start(place) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        lines = (first + process.stdout.read()).split(b"\n")
    # The kill may have cut the last line.
    return [int(line) for line in lines[:-1]]


def check_whole(tx: Tx, acknowledged: int) -> int:
    """The log has no gap, holds what was acknowledged, and every projection tells of its last event."""
    last = tx.last_seq()
    assert last >= acknowledged
    assert [event.seq for event in tx.events(limit=last + 1)] == list(range(1, last + 1))
    task = tx.get_task("t1")
    assert task is not None
    assert (task.reason, task.last_seq) == (str(last), last)
    assert tx.get_doc("numbers", "last") == {"seq": last}
    owed = tx.outbox_pending("s1")
    assert b"".join(row.data for row in owed) == b"".join(b"%8d" % seq for seq in range(1, last + 1))
    assert [row.from_byte for row in owed] == [8 * seq for seq in range(last)]
    return last


@asynccontextmanager
async def opened(place: Path) -> AsyncIterator[Store]:
    store = await Store.open(url(place))
    yield store
    await store.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    shuffle = random.Random(1)
    total = 0
    for _ in range(ROUNDS):
        acknowledged = write_until_killed(tmp_path, shuffle.random() * 0.15)
        assert acknowledged[0] > total, "numbers are never used again"
        with closing(sqlite3.connect(tmp_path / "registry.db")) as plain:
            assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        async with opened(tmp_path) as store:
            total = await store.read(partial(check_whole, acknowledged=max(acknowledged)))
    assert total > ROUNDS


async def test_on_a_full_disk_the_transaction_fails_whole(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with start(tmp_path, "--file-limit", str(600 * 1024)) as process:
        out, _ = process.communicate(timeout=100)
    *lines, said = out.decode().splitlines()
    assert said.startswith(f"{ErrorCode.EXHAUSTED}: "), out
    assert str(tmp_path) in said
    numbers = [int(line) for line in lines if line.isdigit()]
    async with opened(tmp_path) as store:
        last = await store.read(lambda tx: check_whole(tx, max(numbers)))
        # What was refused was undone, and there is room again.
        assert await store.transact(lambda tx: tx.append("notice")) == last + 1


@pytest.mark.needs("strace")
def test_the_disk_is_synced_before_each_answer(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-o", str(trace), "-e", "trace=fsync,fdatasync,write", "-e", "write=none"]
    with start(tmp_path, "--count", "20", prefix=strace) as process:
        out, _ = process.communicate(timeout=100)
    assert out.split() == [b"%d" % seq for seq in range(1, 21)]
    synced = answers = 0
    for line in trace.read_text().splitlines():
        if re.search(r"f(data)?sync.* = 0$", line):
            synced += 1
        elif re.search(r' write\(1, "\d+', line):
            answers += 1
            assert synced, f"answer {answers} came before its sync"
            synced = 0
    assert answers == 20


async def test_a_registry_that_is_read_only_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with read_only(tmp_path / "registry.db"), pytest.raises(RemoteClaudeError) as caught:
        async with opened(tmp_path) as store:
            await store.transact(lambda tx: tx.append("notice"))
    assert caught.value.code is ErrorCode.PRECONDITION
