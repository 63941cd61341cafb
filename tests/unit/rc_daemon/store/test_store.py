from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Collection
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from rc_daemon.store import store as module
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Event

DEADLINE = 30


def add(number: int) -> Callable[[Tx], list[int]]:
    def work(tx: Tx) -> list[int]:
        return [tx.append("notice", f"t{each % 3}", {"number": each}) for each in range(number)]

    return work


async def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.append("notice", "t1")
        tx.put_doc("c", "k", {})
        raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        await store.transact(work)
    assert await store.read(lambda tx: (tx.last_seq(), tx.get_doc("c", "k"))) == (0, None)
    assert store.last_seq == 0
    assert await store.transact(lambda tx: tx.append("notice")) == 1


async def test_what_returned_is_on_disk(store: Store, tmp_path: Path) -> None:
    await store.transact(lambda tx: tx.append("notice", "t1"))
    with closing(sqlite3.connect(tmp_path / "registry.db")) as other:
        assert other.execute("SELECT count(*) FROM event").fetchone() == (1,)


async def test_a_caller_that_goes_away_undoes_nothing(store: Store) -> None:
    async with Background("test") as background:
        callers = [background.spawn(store.transact(lambda tx: tx.append("notice")), str(each)) for each in range(20)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    assert await store.transact(lambda tx: tx.append("notice")) == 21
    assert [event.seq for event in await take(store, 0, 21)] == list(range(1, 22))


async def test_reading_cannot_write(store: Store) -> None:
    with pytest.raises(RemoteClaudeError):
        await store.read(lambda tx: tx.append("notice"))


async def test_a_closed_store_says_so(url: str) -> None:
    store = await Store.open(url)
    await store.close()
    with pytest.raises(RemoteClaudeError) as caught:
        await store.read(lambda tx: tx.last_seq())
    assert caught.value.code is ErrorCode.UNAVAILABLE


async def take(store: Store, after: int, count: int, *, task_id: str = "", kinds: Collection[str] = ()) -> list[Event]:
    found: list[Event] = []
    watching = store.watch(after, task_id=task_id, kinds=kinds)
    async with asyncio.timeout(DEADLINE), aclosing(watching) as pages:
        async for page in pages:
            found += page
            if len(found) >= count:
                break
    return found


async def test_a_watcher_catches_up_and_is_told_once(store: Store) -> None:
    await store.transact(add(7))
    pages = store.watch(2)
    async with asyncio.timeout(DEADLINE):
        assert [event.seq for event in await anext(pages)] == [3, 4, 5, 6, 7]
        assert await anext(pages) == []
        await store.transact(add(1))
        assert [event.seq for event in await anext(pages)] == [8]


async def test_a_watcher_chooses(store: Store) -> None:
    await store.transact(add(9))
    assert [event.seq for event in await take(store, 0, 3, task_id="t1")] == [2, 5, 8]
    assert await take(store, 0, 0, kinds=["usage"]) == []


async def test_watching_ends_with_the_store(url: str) -> None:
    store = await Store.open(url)
    async with Background("test") as background, asyncio.timeout(DEADLINE):
        watching = background.spawn(take(store, 0, 1), "watch")
        await asyncio.sleep(0.01)
        await store.close()
        assert await watching == []


@pytest.mark.parametrize("recent", [4, 2048])
async def test_no_gap_and_no_duplicate(store: Store, monkeypatch: pytest.MonkeyPatch, recent: int) -> None:
    """Watchers that begin anywhere, at any time, at any speed, while eight writers write."""
    monkeypatch.setattr(module, "PAGE", 16)
    store._recent = type(store._recent)(maxlen=recent)
    total, writers = 400, 8
    shuffle = random.Random(7)

    async def write() -> None:
        for _ in range(total // writers // 2):
            await store.transact(add(2))
            await asyncio.sleep(shuffle.random() * 0.002)

    async def watch(pause: float) -> tuple[int, list[int]]:
        await asyncio.sleep(shuffle.random() * 0.05)
        after = shuffle.randint(0, store.last_seq)
        seen: list[int] = []
        async with aclosing(store.watch(after)) as pages:
            async for page in pages:
                seen += [event.seq for event in page]
                await asyncio.sleep(pause)
                if seen and seen[-1] >= total:
                    break
        return after, seen

    async with Background("test") as background, asyncio.timeout(DEADLINE):
        watching = [background.spawn(watch(shuffle.choice([0, 0.001, 0.01])), f"w{each}") for each in range(12)]
        await asyncio.gather(*(write() for _ in range(writers)))
        for after, seen in await asyncio.gather(*watching):
            assert seen == list(range(after + 1, total + 1))
