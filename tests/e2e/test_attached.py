"""A client attached to a session while the daemon is killed: every byte once, every keystroke once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rc_client import AttachedSession, DaemonClient
from rc_client.session import Ended, Output
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.model import ExitStatus, TerminalSize
from support.daemon import DaemonProcess, wait_for

DEADLINE = 90
# Every byte value, the same at every run.
STREAM = random.Random(11).randbytes(1 << 18) * 24
PRINT = """
import random, sys, time
block = random.Random(11).randbytes(1 << 18)
for _ in range(24):
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    time.sleep(0.1)
sys.stderr.write("over")
sys.exit(7)
"""


@dataclass
class Place:
    """A settled task's sandbox and the daemon."""

    daemon: DaemonProcess
    client: DaemonClient
    sandbox_id: str
    workspace: Path

    async def open(self, *argv: str, **fields: object) -> AttachedSession:
        """A new session, attached."""
        session_id = ids.new_id()
        words = [word.encode() for word in argv]
        await self.client.open_session(self.sandbox_id, session_id, argv=words, kind="exec", **fields)
        return AttachedSession(self.client, self.sandbox_id, session_id)

    async def cut(self, times: int) -> None:
        """Kill the daemon and start it again, at moments of its own."""
        shuffle = random.Random(5)
        for _ in range(times):
            await asyncio.sleep(0.1 + shuffle.random() * 0.5)
            await asyncio.to_thread(self.daemon.kill)
            await asyncio.sleep(shuffle.random() * 0.2)
            await asyncio.to_thread(self.daemon.start)


@pytest.fixture
async def at(daemon: DaemonProcess) -> AsyncIterator[Place]:
    async with await DaemonClient.connect(start=False) as client:
        task, _ = await client.create_task(daemon.spec(name="t"))
        await wait_for(client, task.id, "done")
        sandbox_id = (await client.get_task("t")).sandbox_id
        yield Place(daemon, client, sandbox_id, daemon.places.sandboxes / "local" / sandbox_id / "workspace")


async def read(session: AttachedSession, **how: object) -> tuple[bytes, bytes, ExitStatus | None]:
    """Both streams to the end."""
    got = {"out": bytearray(), "err": bytearray()}
    async with asyncio.timeout(DEADLINE):
        async for item in session.output(**how):  # type: ignore[arg-type]
            if isinstance(item, Ended):
                return bytes(got["out"]), bytes(got["err"]), item.status
            assert isinstance(item, Output)
            got[item.stream] += item.data
    return bytes(got["out"]), bytes(got["err"]), None


async def test_output_comes_once_over_kills_of_the_daemon(at: Place) -> None:
    session = await at.open("python3", "-c", PRINT, stdin_closed=True)
    async with Background("test") as background:
        viewers = [background.spawn(read(session), "one")]
        late = AttachedSession(at.client, at.sandbox_id, session.session_id)
        viewers.append(background.spawn(read(late, out_offset=1 << 20), "from an offset"))
        await at.cut(3)
        one, other = await asyncio.gather(*viewers)
    assert hashlib.sha256(one[0]).digest() == hashlib.sha256(STREAM).digest()
    assert other[0] == STREAM[1 << 20 :]
    assert (one[1], one[2]) == (b"over", ExitStatus(7))
    # Whoever comes after the end gets it all, again and again.
    for _ in range(2):
        again = await read(AttachedSession(at.client, at.sandbox_id, session.session_id))
        assert (len(again[0]), again[1:]) == (len(STREAM), (b"over", ExitStatus(7)))
    for each in (session, late):
        await each.close()


async def test_a_session_is_opened_by_a_daemon_that_comes_back(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from rc_client import client

    monkeypatch.setattr(client, "READY_SECONDS", 0.1)
    await asyncio.to_thread(at.daemon.kill)
    async with Background("test") as background:
        opening = background.spawn(at.open("echo", "opened"), "open")
        await asyncio.sleep(0.3)
        await asyncio.to_thread(at.daemon.start)
        session = await asyncio.wait_for(opening, DEADLINE)
        out, _, status = await read(session)
        await session.close()
    assert (out, status) == (b"opened\n", ExitStatus(0))


async def test_input_is_typed_once_by_two_writers_over_kills(at: Place) -> None:
    code = "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"
    session = await at.open("python3", "-u", "-c", code)
    writers = [session, AttachedSession(at.client, at.sandbox_id, session.session_id)]

    async def type_lines(writer: AttachedSession, name: str) -> None:
        for number in range(300):
            await writer.write(f"{name} {number}\n".encode())
            await asyncio.sleep(0.005)
        await writer.flush(DEADLINE)

    async with Background("test") as background:
        reading = background.spawn(read(session), "read")
        typing = [background.spawn(type_lines(each, name), name) for each, name in zip(writers, "ab", strict=True)]
        await at.cut(3)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*typing)
            session.end_input()
            out, _, status = await reading
    assert status == ExitStatus()
    lines = out.decode().splitlines()
    for name in "ab":
        assert [line for line in lines if line[0] == name] == [f"{name} {number}" for number in range(300)]
    assert len(lines) == 600
    for each in writers:
        await each.close()


async def test_a_terminal_is_resized_and_given_as_it_is(at: Place) -> None:
    script = "trap 'stty size' WINCH; stty size; printf '\\033[1mbold'; while :; do sleep 0.05; done"
    session = await at.open("/bin/sh", "-c", script, pty=True)
    shown = bytearray()

    async def watch() -> None:
        async for item in session.output(screen=TerminalSize(100, 30)):
            if isinstance(item, Output):
                shown.extend(item.data)

    async with Background("test") as background, asyncio.timeout(DEADLINE):
        background.spawn(watch(), "watch")
        while b"bold" not in shown:
            await asyncio.sleep(0.02)
        await session.resize(TerminalSize(90, 20))
        while b"20 90" not in shown:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(at.daemon.kill)
        await asyncio.to_thread(at.daemon.start)
        await session.resize(TerminalSize(80, 25))
        while b"25 80" not in shown:
            await asyncio.sleep(0.02)
    assert shown.count(b"bold") == 1
    await at.client.close_session(at.sandbox_id, session.session_id)
    await session.close()


async def test_a_session_that_is_not_there(at: Place) -> None:
    from rc_protos.errors import ErrorCode, RemoteClaudeError

    session = AttachedSession(at.client, at.sandbox_id, ids.new_id())
    with pytest.raises(RemoteClaudeError) as caught:
        await read(session)
    assert caught.value.code is ErrorCode.NOT_FOUND
    await session.close()
