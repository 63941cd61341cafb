"""A live task moves to another provider and back; the daemon dies at every step of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Event, Task, TaskState
from rc_providers.base import Presence
from support.daemon import DaemonProcess, destroy_sandbox, wait_for
from support.life import Keeper, Patient, again, beside, diff_of, log_problems, told, until, watch
from support.plugins import ElsewhereProvider, plug_in

pytestmark = pytest.mark.needs("bwrap", "git")
GATE = "run sh -c 'until [ -e /tmp/go ]; do sleep 0.05; done'"
PROMPT = f"demo: write a.txt one; commit; write b.txt two; {GATE}; write c.txt three"
PLACES = [
    "task.QuietSandbox.before",
    "task.QuietSandbox.after",
    "task.SwitchSandbox.before",
    "task.SwitchSandbox.after",
    "task.RetireSandbox.before",
    "task.DestroySandbox.intended",
    "task.DestroySandbox.destroyed",
    "task.RetireSandbox.after",
]
SECONDS = 90


@dataclass
class Removal:
    """A daemon that knows two providers, and a task on the first."""

    home: DaemonProcess
    client: DaemonClient
    watched: list[Event]
    keeper: Keeper

    async def arm(self, place: str) -> None:
        """Have a daemon that dies at this place."""
        self.keeper.places.append(place)
        await asyncio.to_thread(self.home.kill)

    async def begin(self, prompt: str) -> Task:
        """A task that has written some of its files."""
        spec = self.home.spec(prompt, isolation="", name="t")
        await again(lambda: self.client.create_task(spec))
        return await self.get()

    async def get(self) -> Task:
        """The task now."""
        return await again(lambda: self.client.get_task("t"))

    def place(self, provider: str, task: Task) -> Path:
        """The directory of its sandbox."""
        return self.home.places.sandboxes / provider / task.sandbox_id

    async def working(self, provider: str, file: str = "b.txt") -> Task:
        """The task once it works there and this file is written."""
        async with asyncio.timeout(SECONDS):
            while True:
                task = await self.get()
                if task.spec.provider == provider and (self.place(provider, task) / "workspace" / file).exists():
                    return task
                await asyncio.sleep(0.05)

    async def alone(self, provider: str) -> None:
        """Exactly one sandbox is left, and the task owns it."""
        async with asyncio.timeout(SECONDS):
            while True:
                task = await self.get()
                found = [(name, info) for name in ("local", "elsewhere") for info in await self._list(name)]
                if [(name, info.external_id) for name, info in found] == [(provider, task.sandbox_id)]:
                    assert found[0][1].presence is Presence.RUNNING
                    return
                await asyncio.sleep(0.05)

    async def _list(self, name: str) -> list:  # type: ignore[type-arg]
        return list(await ElsewhereProvider(self.home.places.sandboxes / name).list())

    async def finish(self, provider: str, *files: str) -> None:
        """Let the turn end; everything is in the diff."""
        await self.alone(provider)
        (self.place(provider, await self.get()) / "tmp" / "go").touch()
        await until(self.client, (await self.get()).id, TaskState.DONE)
        diff = await again(lambda: diff_of(self.client, "t"))
        assert [name for name in files if f"+++ b/{name}".encode() not in diff] == []


@pytest.fixture
async def removal(
    home: DaemonProcess, hit_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Removal]:
    # A daemon that a client starts knows the provider too.
    for name, value in plug_in(tmp_path, ElsewhereProvider).items():
        monkeypatch.setenv(name, value)
    keeper = Keeper(home, hit_log)
    watched: list[Event] = []
    home.start()
    async with await Patient.connect(start=False) as client, beside(keeper.keep(), watch(client, watched)):
        yield Removal(home, client, watched, keeper)
        assert log_problems(watched, await told(client, watched)) == []


async def test_there_and_back_in_mid_turn(removal: Removal) -> None:
    await removal.begin(PROMPT)
    before = await removal.working("local")
    assert (await removal.client.move_task("t", "elsewhere")).sandbox_id == before.sandbox_id
    there = await removal.working("elsewhere")
    assert there.sandbox_id != before.sandbox_id
    await removal.alone("elsewhere")
    with pytest.raises(RemoteClaudeError) as caught:
        await removal.client.move_task("t", "elsewhere")
    assert caught.value.code is ErrorCode.USAGE
    await removal.client.move_task("t", "local")
    await removal.working("local")
    await removal.finish("local", "a.txt", "b.txt", "c.txt")


@pytest.mark.parametrize("place", PLACES)
async def test_killed_while_it_moves(place: str, removal: Removal, hit_log: Path) -> None:
    await removal.arm(place)
    await again(lambda: removal.begin(PROMPT))
    await removal.working("local")
    await again(lambda: removal.client.move_task("t", "elsewhere"))
    await removal.working("elsewhere")
    await removal.finish("elsewhere", "a.txt", "b.txt", "c.txt")
    assert hit_log.read_text().split() == [place]


@pytest.mark.parametrize("place", ["", "task.AbandonMove.before", "task.AbandonMove.after"])
async def test_what_cannot_be_saved_stays(place: str, removal: Removal, hit_log: Path) -> None:
    if place:
        await removal.arm(place)
    await again(lambda: removal.begin(PROMPT))
    task = await removal.working("local")
    git = removal.place("local", task) / "workspace" / ".git"
    git.rename(git.with_name("hidden"))
    await again(lambda: removal.client.move_task("t", "elsewhere"))
    async with asyncio.timeout(SECONDS):
        while not [event for event in removal.watched if event.kind == "task.stayed"]:
            await asyncio.sleep(0.05)
    git.with_name("hidden").rename(git)
    assert (await removal.get()).sandbox_id == task.sandbox_id
    await removal.finish("local", "a.txt", "b.txt", "c.txt")
    assert (hit_log.read_text().split() if place else []) == ([place] if place else [])


async def test_a_task_at_rest_moves_and_works_on_there(removal: Removal) -> None:
    await removal.begin("demo: write a.txt one")
    await wait_for(removal.client, "t", "done")
    argv = [sys.executable, "-m", "rc_cli.main", "move", "t", "--on", "elsewhere"]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert (process.returncode, err.decode()) == (0, "— t belongs to elsewhere now\n")
    await removal.alone("elsewhere")
    await removal.client.say_task("t", "demo: write b.txt two")
    await removal.working("elsewhere")
    await until(removal.client, (await removal.get()).id, TaskState.DONE)
    assert b"+++ b/a.txt" in await diff_of(removal.client, "t")


async def test_a_sandbox_that_vanished_is_left_with_the_last_copy(removal: Removal) -> None:
    await removal.begin("demo: write a.txt one")
    task = await wait_for(removal.client, "t", "done")
    await removal.client.stop_task("t")
    await destroy_sandbox(removal.home.places, task.sandbox_id)
    await removal.client.move_task("t", "elsewhere")
    await again(lambda: removal.client.say_task("t", "demo: write b.txt two"))
    await removal.working("elsewhere")
    await until(removal.client, task.id, TaskState.DONE)
    assert b"+++ b/a.txt" in await diff_of(removal.client, "t")
