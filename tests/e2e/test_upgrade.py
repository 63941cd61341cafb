"""The last release, today's rc and one still to come, one after the other and beside each other, under live tasks."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rc_client import AttachedSession, DaemonClient
from rc_client.channel import open_channel
from rc_client.session import Output
from rc_protos import ids, platform
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Event, TaskState
from support import releases
from support.daemon import DaemonProcess, wait_for
from support.releases import Release

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.timeout(300)]

SECONDS = 90
REFUSED = RemoteClaudeError("", code=ErrorCode.PRECONDITION).border.exit
UNTIL_GO = "while [ ! -e go ]; do sleep 0.05; done"
# Numbered lines of 4 KiB with every byte value in them, until the workspace holds a file "go".
PRINT = """
import os, sys, time
number = 0
open("printing", "w").close()
while not os.path.exists("go"):
    sys.stdout.buffer.write(b"%08d" % number + bytes(range(256)) * 16)
    sys.stdout.buffer.flush()
    number += 1
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def previous() -> Release:
    return releases.previous()


@pytest.fixture(scope="module")
def coming(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return releases.coming(tmp_path_factory.mktemp("coming"))


@dataclass
class Live:
    """A task in mid-turn with a shell in its sandbox, and a task that asks."""

    home: DaemonProcess
    client: DaemonClient
    sandbox_id: str
    shell_id: str = field(default_factory=ids.new_id)
    typed: bytes = b""

    @property
    def workspace(self) -> Path:
        """Of the task in mid-turn."""
        return self.home.places.sandboxes / "local" / self.sandbox_id / "workspace"

    async def has(self, name: str) -> None:
        """Wait for a file in the workspace."""
        async with asyncio.timeout(SECONDS):
            while not (self.workspace / name).exists():
                await asyncio.sleep(0.02)

    async def attach(self) -> None:
        """Watch every event, and the shell's terminal from its beginning."""
        self.events: list[Event] = []
        self.shown = bytearray()
        self.attached = Background("attached")
        self.shell = AttachedSession(self.client, self.sandbox_id, self.shell_id)
        self.attached.spawn(self._watch(), "watch")
        self.attached.spawn(self._read(), "shell")
        await self.shows()

    async def detach(self) -> None:
        await self.shell.close()
        await self.attached.close()

    async def type(self) -> None:
        """Type, and wait until all that was ever typed has come back, once."""
        line = f"line {len(self.typed)}\r\n".encode()
        self.typed += line
        await self.shell.write(line)
        await self.shows()

    async def shows(self) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.shown) < len(self.typed) + 1:
                await asyncio.sleep(0.02)
        assert bytes(self.shown) == b"<" + self.typed

    async def end(self) -> None:
        """Let the turn end: each task's work is there, by the one process that began it."""
        (self.workspace / "go").touch()
        for task, name in (("turn", "turn.txt"), ("asking", "asked.txt")):
            await wait_for(self.client, task, TaskState.DONE)
            await brought(self.client, task, f" b/{name}")
            opened, _ = await self.client.list_events(task, kinds=("session.opened",))
            assert [json.loads(each.payload)["kind"] for each in opened].count("coding-agent") == 1

    async def all_seen(self) -> None:
        """The watcher has every event, each once."""
        _, last = await self.client.list_events(limit=1)
        async with asyncio.timeout(SECONDS):
            while not self.events or self.events[-1].seq < last:
                await asyncio.sleep(0.02)
        assert [each.seq for each in self.events] == list(range(1, self.events[-1].seq + 1))

    async def _watch(self) -> None:
        async for event in self.client.watch_events():
            self.events.append(event)

    async def _read(self) -> None:
        async for item in self.shell.output():
            assert isinstance(item, Output)
            self.shown += item.data


@pytest.fixture
async def client(home: DaemonProcess) -> AsyncIterator[DaemonClient]:
    """Today's, for a daemon that the test starts."""
    home.places.runtime.mkdir(mode=0o700)
    home.repository()

    async with DaemonClient(open_channel(str(home.places.grpc_socket)), home.places) as made:
        yield made


@asynccontextmanager
async def live(home: DaemonProcess, client: DaemonClient) -> AsyncIterator[Live]:
    """Both tasks at work under the daemon that runs, the shell attached."""
    scripts = {
        "turn": f"demo: run touch began; run sh -c '{UNTIL_GO}'; write turn.txt one; say over",
        "asking": "demo: askrun touch asked.txt; say over",
    }
    for name, prompt in scripts.items():
        await client.create_task(home.spec(prompt, name=name, isolation=""))
    await wait_for(client, "asking", TaskState.WAITING)
    made = Live(home, client, (await wait_for(client, "turn", TaskState.WORKING)).sandbox_id)
    shell = [b"sh", b"-c", b"stty raw -echo; printf '<'; exec cat"]
    await client.open_session(made.sandbox_id, made.shell_id, argv=shell, kind="shell", pty=True)
    await made.attach()
    await made.has("began")
    try:
        yield made
    finally:
        await made.detach()


async def command(release: Release, *argv: str) -> str:
    return await asyncio.to_thread(release.rc, *argv)


async def runs(client: DaemonClient, release: Release) -> None:
    """Whether this release's daemon serves, and its agents with it."""
    async with asyncio.timeout(SECONDS):
        while (status := await client.get_status()).version != release.version or not all(
            link.state == "up" for link in status.links
        ):
            await asyncio.sleep(0.05)


async def says(client: DaemonClient, task: str, text: str) -> None:
    """Wait until its turn with these words is over."""
    async with asyncio.timeout(SECONDS):
        while True:
            events, _ = await client.list_events(task, kinds=("message.text",))
            if text in "".join(json.loads(event.payload)["text"] for event in events):
                break
            await asyncio.sleep(0.05)
    await wait_for(client, task, TaskState.DONE)


async def brought(client: DaemonClient, task: str, text: str) -> None:
    """Wait until the task's safe copy has it: after a cut it is taken again, within a minute."""
    async with asyncio.timeout(SECONDS):
        while text not in b"".join([chunk async for chunk in client.diff_task(task)]).decode():
            await asyncio.sleep(0.2)


async def test_an_upgrade_and_a_roll_back_under_live_tasks(
    home: DaemonProcess, client: DaemonClient, previous: Release
) -> None:
    today = releases.today()
    assert today.version != previous.version
    await command(previous, "daemon", "start")
    async with live(home, client) as at:
        assert f"this rc is {today.version}; rc daemon restart" in await command(today, "daemon", "status")
        assert "run: rc daemon restart" in await command(today, "doctor")
        printing = await asyncio.to_thread(previous.spawn, "exec", "turn", "--", "python3", "-c", PRINT)
        printed = at.attached.spawn(asyncio.to_thread(printing.communicate), "printed")
        await at.has("printing")
        for release in (today, previous):
            await command(release, "daemon", "restart")
            await runs(client, release)
            await at.type()
            states = {task.name: task.state for task in await client.list_tasks()}
            assert states == {"turn": TaskState.WORKING, "asking": TaskState.WAITING}
            assert len(await client.list_requests("asking")) == 1
        await command(previous, "approve", "asking")
        await at.end()
        out, err = await asyncio.wait_for(printed, SECONDS)
        assert (printing.returncode, err) == (0, b"")
        assert out == b"".join(b"%08d" % number + bytes(range(256)) * 16 for number in range(len(out) // 4104))
        assert len(out) > 100 * 4104
        # What the older daemon wrote last, today's reads; and both tasks have another turn in them.
        await command(today, "daemon", "restart")
        await runs(client, today)
        for task in ("turn", "asking"):
            await client.say_task(task, "demo: write more.txt two; say again")
            await says(client, task, "again")
            await brought(client, task, " b/more.txt")
        await at.all_seen()


@pytest.mark.parametrize("newer", ["client", "daemon"])
async def test_each_serves_the_other(home: DaemonProcess, previous: Release, newer: str) -> None:
    """A whole task by the commands of one release, with the daemon and the agent of the other."""
    home.repository()
    faces, served = (releases.today(), previous) if newer == "client" else (previous, releases.today())
    await command(served, "daemon", "start")
    prompt = "demo: askrun touch asked.txt; write a.txt one; say over"
    await command(faces, "run", "-d", "--agent", "demo", "--name", "t", prompt)
    async with asyncio.timeout(SECONDS):
        while "asked.txt" not in await command(faces, "inbox", "t"):
            await asyncio.sleep(0.1)
    assert json.loads(await command(faces, "ls", "--json"))[0]["spec"]["name"] == "t"
    await command(faces, "approve", "t")
    await command(faces, "wait", "t")
    assert "over" in await command(faces, "logs", "t")
    assert "+one" in await command(faces, "diff", "t")
    assert await command(faces, "exec", "t", "--", "cat", "a.txt") == "one"
    await command(faces, "say", "t", "demo: append a.txt two")
    await command(faces, "wait", "t")
    for words in (("show", "t"), ("events", "t"), ("doctor",), ("agent", "ls"), ("config", "show"), ("gc",)):
        await command(faces, *words)
    await command(faces, "fetch", "t")
    assert "work" in await command(faces, "rm", "t")
    assert json.loads(await command(faces, "daemon", "status", "--json"))["version"] == served.version


async def test_a_newer_registry_is_refused_and_its_backup_goes_on(
    home: DaemonProcess, client: DaemonClient, coming: Release
) -> None:
    today = releases.today()
    await command(today, "daemon", "start")
    async with live(home, client) as at:
        # A client that speaks more than this daemon knows says so, and can replace it.
        for words in (("ls",), ("exec", "turn", "--", "true")):
            code, said = await asyncio.to_thread(coming.answer, *words)
            assert (code, len(said.splitlines())) == (REFUSED, 2)
            assert "the daemon is older" in said
            assert "rc daemon restart" in said
        await command(coming, "daemon", "restart")
        await runs(client, coming)
        await at.type()
        await at.detach()

        # There is no way back over the migration: it is said, with the backup.
        platform.kill(home.pid, signal.SIGKILL)
        await asyncio.to_thread(home.end_others)
        code, said = await asyncio.to_thread(today.answer, "daemon", "restart")
        assert code == RemoteClaudeError("", code=ErrorCode.UNAVAILABLE).border.exit
        assert "written by a newer rc" in said
        assert "Traceback" not in said
        registry = home.places.registry
        assert not Path(f"{registry}-wal").exists(), "it would be replayed into the backup"
        backup, place = said.partition("mv ")[2].split()[:2]
        assert Path(backup).rename(place) == registry

        await command(today, "daemon", "start")
        await runs(client, today)
        await at.attach()
        await at.type()
        (request,) = await client.list_requests("asking")
        await client.answer_request(request.id, approve=True)
        await at.end()
        # And up again.
        await command(coming, "daemon", "restart")
        await runs(client, coming)
        await client.say_task("turn", "demo: write more.txt two; say again")
        await says(client, "turn", "again")
        await brought(client, "turn", " b/more.txt")
        await at.all_seen()
