"""Tasks on an SSH host: a real sshd, restarted and killed under them."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Iterator

import pytest

from rc_client import AttachedSession, DaemonClient
from rc_client.session import Ended
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.model import ExitStatus, Task
from support import known
from support.daemon import DaemonProcess, wait_for
from support.person import Person
from support.sshd import SshServer, person_with, ssh_server

pytestmark = [pytest.mark.needs("sshd", "bwrap", "git"), pytest.mark.timeout(300)]
PRINTED = 3 << 20
TYPED = 60_000
DEADLINE = 120


@pytest.fixture
def box(home: DaemonProcess) -> Iterator[SshServer]:
    with ssh_server(home.home / "box") as server, person_with(home.home / "person", server.entry()):
        yield server


@pytest.fixture
def me(home: DaemonProcess, box: SshServer) -> Person:
    home.start()
    return Person(home, home.repository())


async def started(client: DaemonClient, daemon: DaemonProcess, name: str) -> Task:
    task, _ = await client.create_task(daemon.spec("demo: say hi", name=name, provider="ssh:box", isolation=""))
    return await wait_for(client, task.id, "done")


def test_a_whole_task_and_nothing_left(me: Person, box: SshServer) -> None:
    run = ("run", "--on", "ssh:box", "--agent", "demo", "--name", "far", "demo: write a.txt one; run id -un; commit")
    (box.folder / "known_hosts").unlink()
    refused = me.rc(*run)
    assert refused.code == 7
    command = f"provider add ssh:box --accept-key {box.fingerprint}"
    assert f"rc {command}" in refused.err
    assert "bubblewrap" in me.ok(*command.split())

    done = me.rc(*run)
    assert done.code == 0, done
    assert "isolated by bubblewrap on box" in done.err
    assert "+++ b/a.txt" in me.ok("diff", "far")
    me.ok("say", "far", "demo: write b.txt two; commit")
    me.ok("wait", "far")
    assert "+++ b/b.txt" in me.ok("diff", "far")
    assert me.ok("exec", "far", "--", "cat", "b.txt").strip() == "two"
    me.ok("rm", "far")
    assert list(box.home.iterdir()) == []


async def test_two_tasks_over_one_connection_that_is_lost(me: Person, home: DaemonProcess, box: SshServer) -> None:
    """Restarted, cut and killed under both while they print and are typed to: every byte is right, none twice."""
    async with await DaemonClient.connect(start=False) as client:
        tasks = await asyncio.gather(*(started(client, home, name) for name in ("one", "two")))
        assert box.connections() == 1
        async with Background("test") as background:
            over = asyncio.Event()
            weather = background.spawn(_weather(box, over), "weather")
            async with asyncio.timeout(DEADLINE):
                typed = await asyncio.gather(*(_session(client, task, seed) for seed, task in enumerate(tasks)))
            over.set()
            await weather
        for task, digest in zip(tasks, typed, strict=True):
            assert (await asyncio.to_thread(_typed, me, task)) == digest
        assert box.connections() > 2
        assert [(await client.get_task(task.id)).state for task in tasks] == ["done", "done"]


async def _weather(box: SshServer, over: asyncio.Event) -> None:
    dice = random.Random(7)
    while not over.is_set():
        await asyncio.sleep(dice.uniform(0.2, 1.0))
        if dice.random() < 0.6:
            box.cut()
        else:
            box.stop()
            await asyncio.sleep(dice.uniform(0, 0.5))
            await asyncio.to_thread(box.start)


async def _session(client: DaemonClient, task: Task, seed: int) -> str:
    """The SHA-256 of what was typed."""
    session_id = ids.new_id()
    words = ["python3", "-c", known.SOURCE, seed, PRINTED, TYPED, "/tmp/typed"]
    while True:
        try:
            argv = [str(word).encode() for word in words]
            await client.open_session(task.sandbox_id, session_id, argv=argv, kind="exec", pty=True)
            break
        except Exception:
            # Opening is repeated by its caller: the same id is the same session.
            await asyncio.sleep(0.1)
    session = AttachedSession(client, task.sandbox_id, session_id)
    text = random.Random(seed).randbytes(TYPED)
    async with Background("test") as background:
        printing = asyncio.Event()
        viewer = background.spawn(_digest(session, printing), "view")
        # Until then the terminal is not raw.
        await printing.wait()
        for at in range(0, TYPED, 500):
            await session.write(text[at : at + 500])
            await asyncio.sleep(0.02)
        await session.flush(DEADLINE)
        seen = await viewer
    await session.close()
    assert seen == (hashlib.sha256(known.stream(seed, PRINTED)).hexdigest(), ExitStatus(known.EXIT))
    return hashlib.sha256(text).hexdigest()


def _typed(me: Person, task: Task) -> str:
    """Asked again: the link may still be healing."""
    deadline = time.monotonic() + DEADLINE
    while (done := me.rc("exec", task.name, "--", "sha256sum", "/tmp/typed")).code:
        assert time.monotonic() < deadline, done
    return done.out.split()[0]


async def _digest(session: AttachedSession, printing: asyncio.Event) -> tuple[str, ExitStatus | None]:
    digest, status = hashlib.sha256(), None
    async for item in session.output():
        if isinstance(item, Ended):
            status = item.status
        else:
            digest.update(item.data)
            printing.set()
    return digest.hexdigest(), status
