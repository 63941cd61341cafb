"""A whole task's life against a daemon that is killed meanwhile: what must hold whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rc_client import DaemonClient
from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Event, Task, TaskState
from rc_providers.local import LocalProvider
from support.daemon import DaemonProcess
from support.failpoints import armed

T = TypeVar("T")

LIFE_SECONDS = 90.0
PROMPT = "demo: say hello; write a.txt one; run echo working; ask; print 64; write b.txt two; commit; write c.txt three"
FILES = ["a.txt", "b.txt", "c.txt"]
AWAY = (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT)


class Patient(DaemonClient):
    """Leaves it to the test to start the daemon again."""

    async def revive(self, away: float) -> None:
        """Wait."""


@dataclass
class Life:
    """What one life left behind."""

    task: Task
    watched: list[Event]
    logged: list[Event]
    diff: bytes
    saved_to: str = ""
    kills: int = 0
    problems: list[str] = field(default_factory=list)


class Keeper:
    """Starts the daemon again whenever it has died; each one dies at the next of `places`, the rest live."""

    def __init__(self, daemon: DaemonProcess, log: Path | None = None) -> None:
        self.daemon = daemon
        self.kills = 0
        self.places: list[str] = []
        # Let it lie.
        self.waits = False
        self._log = log

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(0.02)
            if not self.waits and not self.daemon.running:
                self.kills += 1
                self.daemon.environment = armed(self.places.pop(0), self._log) if self.places else {}
                await asyncio.to_thread(self.daemon.start)


async def again(work: Callable[[], Awaitable[T]]) -> T:
    """A call repeated for as long as the daemon is away."""
    async with asyncio.timeout(LIFE_SECONDS):
        while True:
            try:
                return await work()
            except RemoteClaudeError as error:
                if error.code not in AWAY:
                    raise
                await asyncio.sleep(0.05)


async def live(daemon: DaemonProcess, *, remove: bool = True) -> Life:
    """Create, approve, finish, stop, remove: one life, however often the daemon dies."""
    keeper = Keeper(daemon)
    watched: list[Event] = []
    once = ids.new_id()
    spec = daemon.spec(PROMPT, isolation="")
    async with await DaemonClient.connect(start=False) as client, beside(keeper.keep(), watch(client, watched)):
        task, _ = await again(lambda: client.create_task(spec, request_id=once))
        await until(client, task.id, TaskState.DONE)
        diff = await again(lambda: diff_of(client, task.id))
        boxes = await LocalProvider(daemon.places.sandboxes / "local").list()
        await _stop(client, task.id)
        if remove:
            await _remove(client, task.id)
        found = await told(client, watched)
        end = await again(lambda: client.get_task(task.id))
        life = Life(end, list(watched), found, diff, end.saved_to, keeper.kills)
    life.problems = [*_problems(life), *([f"{len(boxes)} sandboxes"] if len(boxes) != 1 else [])]
    return life


async def told(client: DaemonClient, watched: list[Event]) -> list[Event]:
    """The whole log, once the watcher has heard of all of it."""
    found, last = await again(client.list_events)
    async with asyncio.timeout(LIFE_SECONDS):
        while not watched or watched[-1].seq < last:
            await asyncio.sleep(0.02)
    return found


def log_problems(watched: list[Event], logged: list[Event]) -> list[str]:
    """What a watcher was told against what is recorded."""
    found = []
    seqs = [event.seq for event in watched]
    if seqs != sorted(set(seqs)):
        found.append("the watcher saw events twice or out of order")
    if seqs != [event.seq for event in logged][: len(seqs)]:
        found.append("the watcher missed events, or an acknowledged event is lost")
    return found


def _problems(life: Life) -> list[str]:
    """Everything that does not hold."""
    found = log_problems(life.watched, life.logged)
    opened = [event for event in life.logged if event.kind == "session.opened" and '"coding-agent"' in event.payload]
    if len(opened) != 1:
        found.append(f"the coding agent was started {len(opened)} times")
    if sum(event.kind == "task.created" for event in life.logged) != 1:
        found.append("the task was made twice")
    if sum(event.kind == "turn.started" for event in life.logged) != 1:
        found.append("the turn did not run once")
    if [name for name in FILES if f"+++ b/{name}".encode() not in life.diff]:
        found.append(f"the diff lacks files: {life.diff!r}")
    if life.task.state is TaskState.REMOVED and not life.saved_to:
        found.append("the work of the removed task was not kept")
    return found


async def until(client: DaemonClient, task_id: str, wanted: TaskState) -> None:
    """Wait for a state, approving whatever is asked."""
    async with asyncio.timeout(LIFE_SECONDS):
        while True:
            task = await again(lambda: client.get_task(task_id))
            if task.state is wanted:
                return
            assert task.state is not TaskState.FAILED, (task.reason, task.evidence)
            for request in await again(lambda: client.list_requests(task_id)):
                with contextlib.suppress(RemoteClaudeError):
                    await client.answer_request(request.id, approve=True)
            await asyncio.sleep(0.02)


async def _stop(client: DaemonClient, task_id: str) -> None:
    await again(lambda: client.stop_task(task_id))


async def _remove(client: DaemonClient, task_id: str) -> None:
    try:
        await again(lambda: client.remove_task(task_id))
    except RemoteClaudeError as error:
        if error.code is not ErrorCode.PRECONDITION:
            raise
        # An answer that was lost: it is removed already.
    async with asyncio.timeout(LIFE_SECONDS):
        while (await again(lambda: client.get_task(task_id))).state is not TaskState.REMOVED:
            await asyncio.sleep(0.02)


async def diff_of(client: DaemonClient, task_id: str) -> bytes:
    """The whole diff."""
    return b"".join([chunk async for chunk in client.diff_task(task_id)])


async def watch(client: DaemonClient, into: list[Event]) -> None:
    """Everything that happens, in the order in which it is told."""
    async for event in client.watch_events():
        into.append(event)


@contextlib.asynccontextmanager
async def beside(*work: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
