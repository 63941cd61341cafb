"""kill -9 of the daemon where a task's life leaves the straight way: every failpoint that test_kill leaves out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos import ids, platform
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Event, Intent, Task, TaskState
from rc_providers.local import LocalProvider
from support.daemon import DaemonProcess, destroy_sandbox
from support.life import Keeper, Patient, again, beside, diff_of, log_problems, told, until, watch

pytestmark = pytest.mark.needs("bwrap", "git")
SECONDS = 60.0
# A step that ends when the test says so.
GATE = "run sh -c 'until [ -e /tmp/go ]; do sleep 0.05; done'"


@dataclass
class Story:
    """One task, and a daemon that dies at the places that are named and comes back each time."""

    home: DaemonProcess
    client: DaemonClient
    keeper: Keeper
    log: Path
    task_id: str = ""
    places: list[str] = field(default_factory=list)

    async def task(self, prompt: str) -> None:
        """Ask for it; asked again while the daemon is away."""
        once = ids.new_id()
        spec = self.home.spec(prompt, isolation="")
        task, _ = await again(lambda: self.client.create_task(spec, request_id=once))
        self.task_id = task.id

    async def get(self) -> Task:
        """The task now."""
        return await again(lambda: self.client.get_task(self.task_id))

    async def until(self, state: TaskState) -> None:
        """Wait for the state."""
        await until(self.client, self.task_id, state)

    async def kill(self, *places: str) -> None:
        """kill -9; those that follow die at these places, one after the other."""
        self.places += places
        self.keeper.places += places
        await asyncio.to_thread(self.home.kill)

    async def hits(self) -> None:
        """Wait until the daemon has died everywhere it was to, and is back."""
        async with asyncio.timeout(SECONDS):
            while self.hit != self.places or not self.home.running:
                await asyncio.sleep(0.02)
        await self.get()

    @property
    def hit(self) -> list[str]:
        """Where it has died."""
        return self.log.read_text().split() if self.log.exists() else []

    async def until_hit(self, times: int, call: Callable[[], Awaitable[object]]) -> None:
        """Ask until the daemon has died of it so often."""
        async with asyncio.timeout(SECONDS):
            while len(self.hit) < times:
                with contextlib.suppress(RemoteClaudeError):
                    await call()
                await asyncio.sleep(0.02)

    async def finish(self, *files: str) -> None:
        """Let the coding agent through the gate; at the end the diff has these files, and there is one sandbox."""
        sandbox_id = (await self.get()).sandbox_id
        (self.home.places.sandboxes / "local" / sandbox_id / "tmp" / "go").touch()
        await self.until(TaskState.DONE)
        diff = await again(lambda: diff_of(self.client, self.task_id))
        assert [name for name in files if f"+++ b/{name}".encode() not in diff] == []
        assert await self.sandboxes() == [sandbox_id]

    async def sandboxes(self) -> list[str]:
        """What the provider has, by id."""
        found = await LocalProvider(self.home.places.sandboxes / "local").list()
        return [info.external_id for info in found]

    async def turns(self) -> int:
        """How many turns were begun."""
        events, _ = await again(lambda: self.client.list_events(self.task_id))
        return sum(event.kind == "turn.started" for event in events)


@pytest.fixture
async def story(home: DaemonProcess, hit_log: Path) -> AsyncIterator[Story]:
    """At its end: it died where it was to, and nobody missed an event or was told one twice."""
    keeper = Keeper(home, hit_log)
    watched: list[Event] = []
    home.start()
    async with await Patient.connect(start=False) as client, beside(keeper.keep(), watch(client, watched)):
        made = Story(home, client, keeper, hit_log)
        yield made
        assert made.hit == made.places
        assert log_problems(watched, await told(client, watched)) == []


@contextlib.contextmanager
def held(story: Story, sandbox_id: str) -> Iterator[None]:
    """Whoever wants to work on this sandbox waits."""
    place = story.home.places.sandboxes / "local" / sandbox_id
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = platform.lock(place / "lock")
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


def intended(story: Story) -> str:
    """The one sandbox that is recorded, asked while nobody serves."""
    with contextlib.closing(sqlite3.connect(story.home.places.registry)) as registry:
        return str(registry.execute("SELECT id FROM sandbox").fetchone()[0])


@pytest.mark.parametrize("made", [False, True])
async def test_stopped_while_its_sandbox_is_made(made: bool, story: Story) -> None:
    """What the provider made, or did not, is found before it is stopped."""
    await story.kill("task.CreateSandbox.created" if made else "task.CreateSandbox.before")
    # The armed one must be there first.
    await again(story.client.list_tasks)
    story.keeper.waits = True
    asking = asyncio.ensure_future(story.task("demo: write a.txt one"))
    async with asyncio.timeout(SECONDS):
        while not story.hit or story.home.running:
            await asyncio.sleep(0.02)
    with held(story, intended(story)):
        story.keeper.waits = False
        await asking
        stop = asyncio.ensure_future(story.client.stop_task(story.task_id))
        async with asyncio.timeout(SECONDS):
            while (await story.get()).intent != Intent.STOP:
                await asyncio.sleep(0.02)
        await story.kill("task.FindSandbox.before", "task.FindSandbox.after")
        await asyncio.gather(stop, return_exceptions=True)
    await story.hits()
    await story.until(TaskState.STOPPED)
    assert len(await story.sandboxes()) == made
    await again(lambda: story.client.resume_task(story.task_id))
    await story.until(TaskState.DONE)
    await story.finish("a.txt")
    assert await story.turns() == 1


async def test_a_stopped_task_is_resumed(story: Story) -> None:
    await story.task(f"demo: write a.txt one; {GATE}; write b.txt two")
    await story.until(TaskState.WORKING)
    await again(lambda: story.client.stop_task(story.task_id))
    await story.kill(
        "task.again.before_commit",
        "task.again.after_commit",
        "task.StartSandbox.before",
        "task.StartSandbox.started",
        "task.StartSandbox.after",
    )
    while (await story.get()).state is TaskState.STOPPED:
        with contextlib.suppress(RemoteClaudeError):
            await story.client.resume_task(story.task_id)
    await story.hits()
    await story.finish("a.txt", "b.txt")


async def test_something_is_said_to_a_task_that_is_done(story: Story) -> None:
    await story.task("demo: write a.txt one")
    await story.until(TaskState.DONE)
    await story.kill(
        "task.again.before_commit",
        "task.again.after_commit",
        "task.WakeConversation.before",
        "task.WakeConversation.after",
    )
    once = ids.new_id()
    # Not asked again once it is recorded: the daemon has to find it by itself.
    await story.until_hit(2, lambda: story.client.say_task(story.task_id, "demo: write b.txt two", request_id=once))
    await story.hits()
    await story.finish("a.txt", "b.txt")
    assert await story.turns() == 2


async def test_it_works_while_the_daemon_comes_back(story: Story) -> None:
    await story.task(f"demo: write a.txt one; {GATE}; write b.txt two")
    await story.until(TaskState.WORKING)
    await story.kill("task.EnsureLink.before", "task.EnsureLink.after")
    await story.hits()
    await story.finish("a.txt", "b.txt")
    assert await story.turns() == 1


async def test_its_sandbox_is_destroyed(story: Story) -> None:
    await story.task(f"demo: write a.txt one; {GATE}; write b.txt two")
    await story.until(TaskState.WORKING)
    await story.kill("task.LoseSandbox.before", "task.LoseSandbox.after")
    await destroy_sandbox(story.home.places, (await story.get()).sandbox_id)
    await story.hits()
    await story.until(TaskState.WORKING)
    await story.finish("b.txt")
    events, _ = await again(lambda: story.client.list_events(story.task_id))
    assert sum(event.kind == "sandbox.gone" for event in events) == 1


async def test_output_is_acknowledged(story: Story) -> None:
    await story.task(f"demo: print 64; {GATE}; write a.txt one")
    await story.until(TaskState.WORKING)
    await story.kill("mirror.ack.before")
    await story.finish("a.txt")
    await story.hits()
    await story.kill("mirror.ack.after")
    await again(lambda: story.client.say_task(story.task_id, "demo: print 64", request_id=ids.new_id()))
    await story.hits()
    await story.finish("a.txt")


async def test_the_work_goes_into_the_repository(story: Story) -> None:
    await story.task("demo: write a.txt one; commit; write b.txt two")
    await story.until(TaskState.DONE)
    tree = story.home.repository()
    await story.kill("work.apply.before", "work.apply.after", "work.fetch.after")
    await story.until_hit(1, lambda: story.client.apply_task(story.task_id, str(tree)))
    assert not (tree / "a.txt").exists()
    await story.until_hit(2, lambda: story.client.apply_task(story.task_id, str(tree)))
    assert [(tree / name).read_text() for name in ("a.txt", "b.txt")] == ["one", "two"]
    await story.until_hit(3, lambda: story.client.fetch_task(story.task_id, str(tree)))
    branch, commit = await again(lambda: story.client.fetch_task(story.task_id, str(tree)))
    listed = subprocess.run(["git", "rev-parse", branch], cwd=tree, capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == commit
