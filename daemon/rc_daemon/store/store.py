"""The registry: one event log with projections, one writer thread, watchers that miss nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from rc_daemon.store.connection import Connection
from rc_daemon.store.dialect import FAILURES, engine, make_place, translate
from rc_daemon.store.migrations import migrate
from rc_daemon.store.tx import Tx
from rc_protos import errors
from rc_protos.model import Event, Task

T = TypeVar("T")
log = logging.getLogger("rc.store")

# Events kept in memory for watchers that are live; one that fell behind reads the table.
RECENT = 2048
PAGE = 512

Publish = Callable[[Tx], None]


class _Job:
    """Work for a thread, and the future in the loop that hears of its end."""

    def __init__(self, work: Callable[[Tx], Any], then: Callable[[Any], None]) -> None:
        self.work = work
        self.then = then
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        # A caller that went away leaves nobody to look at a failure.
        self.future.add_done_callback(lambda future: future.cancelled() or future.exception())


class Store:
    """Transactions over the registry; made by `open`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.where = sa.make_url(url).database or url
        self._engine = engine(url)
        self._writer = _Thread("rc-store-writer", self._engine, self._publish, reader=False)
        self._reader = _Thread("rc-store-reader", self._engine, self._publish, reader=True)
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._last_seq = 0
        self._tasks: dict[str, Task] = {}
        self._watchers: set[asyncio.Event] = set()
        self._closed = False

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open, migrate, start the threads; raises precondition for a registry of a newer rc."""
        store = cls(url)
        try:
            await asyncio.to_thread(make_place, store._engine)
            await asyncio.to_thread(migrate, store._engine)
        except FAILURES as error:
            raise translate(error, store.where) from error
        store._writer.start()
        store._reader.start()
        store._last_seq, tasks = await store.read(lambda tx: (tx.last_seq(), tx.list_tasks(include_removed=True)))
        store._tasks = {task.id: task for task in tasks}
        return store

    @property
    def last_seq(self) -> int:
        """Of the newest durable event."""
        return self._last_seq

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Every task by id, as the last commit left it; an unchanged task is the same object."""
        return self._tasks

    async def transact(self, work: Callable[[Tx], T], *, then: Callable[[T], None] = lambda result: None) -> T:
        """Run `work` on the writer thread in one transaction; durable when this returns, undone if it raises.

        A caller that is cancelled meanwhile learns whether it was done by `then`, which is called in the loop with the
        result before the cancellation is let out.
        """

        def whole(tx: Tx) -> T:
            result = work(tx)
            tx.finish()
            return result

        return await self._run(self._writer, whole, then)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on the reader thread; it sees every transaction that has returned."""
        return await self._run(self._reader, work)

    async def watch(
        self, after_seq: int, *, task_id: str = "", kinds: Collection[str] = ()
    ) -> AsyncGenerator[list[Event], None]:
        """Events after a sequence number: what is there in pages, then live; no gap and no duplicate.

        Yields an empty list once, when it has caught up. Ends when the store closes.
        """
        position = after_seq
        told = False
        wake = asyncio.Event()
        self._watchers.add(wake)
        try:
            while not self._closed:
                wake.clear()
                if position < self._last_seq:
                    found, position = await self._after(position, task_id, kinds)
                    if found:
                        yield found
                    continue
                if not told:
                    told = True
                    yield []
                    continue
                await wake.wait()
        finally:
            self._watchers.discard(wake)

    async def close(self) -> None:
        """Finish what was handed in, then end the threads."""
        self._closed = True
        for wake in self._watchers:
            wake.set()
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._reader.stop)
        self._engine.dispose()

    async def _after(self, position: int, task_id: str, kinds: Collection[str]) -> tuple[list[Event], int]:
        last = self._last_seq
        if self._recent and self._recent[0].seq <= position + 1:
            fresh = itertools.takewhile(lambda each: each.seq > position, reversed(self._recent))
            return [each for each in fresh if _wanted(each, task_id, kinds)][::-1], last
        found = await self.read(lambda tx: tx.events(after=position, task_id=task_id, kinds=kinds, limit=PAGE))
        # A short page holds everything that was visible, which is at least everything up to `last`.
        reached = found[-1].seq if len(found) == PAGE else max([last, *(each.seq for each in found)])
        return found, reached

    def _publish(self, tx: Tx) -> None:
        for task_id, task in tx.tasks.items():
            if task is None:
                self._tasks.pop(task_id, None)
            else:
                self._tasks[task_id] = task
        if not tx.appended:
            return
        self._recent.extend(tx.appended)
        self._last_seq = max(self._last_seq, tx.appended[-1].seq)
        for wake in self._watchers:
            wake.set()

    async def _run(
        self, thread: _Thread, work: Callable[[Tx], T], then: Callable[[T], None] = lambda result: None
    ) -> T:
        if self._closed:
            raise errors.unavailable("the registry is closed", "the daemon is stopping; try again")
        try:
            return await thread.run(work, then)
        except FAILURES as error:
            raise translate(error, self.where) from error


def _wanted(event: Event, task_id: str, kinds: Collection[str]) -> bool:
    return (not task_id or event.task_id == task_id) and (not kinds or event.kind in kinds)


class _Thread:
    """One connection on one thread; work is done in the order it is handed in."""

    def __init__(self, name: str, database: sa.Engine, publish: Publish, *, reader: bool) -> None:
        self._engine = database
        self._publish = publish
        self._is_reader = reader
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join(timeout=10)

    async def run(self, work: Callable[[Tx], T], then: Callable[[T], None]) -> T:
        job = _Job(work, then)
        self._queue.put(job)
        try:
            # Once handed in, the work is done whether or not the caller still waits.
            result: T = await asyncio.shield(job.future)
        except asyncio.CancelledError:
            while not job.future.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([job.future])
            raise
        return result

    def _loop(self) -> None:
        try:
            connection = Connection(self._engine, reader=self._is_reader)
        except FAILURES as error:
            self._refuse(error)
            return
        while (job := self._queue.get()) is not None:
            self._do(connection, job)
            # A thread that waits must not keep the last result alive.
            del job
        connection.close()

    def _refuse(self, error: Exception) -> None:
        while (job := self._queue.get()) is not None:
            self._tell(job, None, None, error)

    def _do(self, connection: Connection, job: _Job) -> None:
        tx = Tx(connection)
        try:
            connection.begin()
            result = job.work(tx)
            connection.commit()
        except BaseException as error:
            connection.rollback()
            self._tell(job, None, None, error)
        else:
            self._tell(job, tx, result, None)

    def _tell(self, job: _Job, done: Tx | None, result: Any, error: BaseException | None) -> None:
        def settle() -> None:
            if done is not None:
                # Watchers hear of a commit even if its caller went away meanwhile.
                self._publish(done)
            if job.future.cancelled():
                return
            if error is None:
                job.then(result)
                job.future.set_result(result)
            else:
                job.future.set_exception(error)

        try:
            job.loop.call_soon_threadsafe(settle)
        except RuntimeError:
            log.warning("the loop closed before a transaction's result was delivered")
