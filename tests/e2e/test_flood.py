"""A session that prints very much: memory stays bounded, what expired is told, viewers that hang harm nobody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from rc_client import DaemonClient
from rc_client.channel import OPTIONS, PROTOCOL_METADATA, from_call
from rc_client.session import AttachedSession, Ended, Output
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.errors import ErrorCode
from rc_protos.model import ExitStatus, TerminalSize
from rc_protos.v1 import session_pb2 as pb
from rc_protos.v1.session_pb2_grpc import SessionServiceStub
from support.agent import agent_pid
from support.daemon import DaemonProcess, wait_for

DEADLINE = 600
MIB = 1 << 20
CAP = 16
# Each hanging viewer may have this much on its way; the rest is what the daemon or the agent may grow by at all.
BUFFERED, HANGING = MIB, 30
SLACK = 40 * MIB
BLOCK = random.Random(4).randbytes(MIB)
PRINT = """
import os, random, sys
block = random.Random(4).randbytes(1 << 20)
for _ in range(int(sys.argv[1])):
    at = 0
    while at < len(block):
        at += os.write(1, block[at:])
"""


class Viewers:
    """Attachments to one session."""

    def __init__(self, daemon: DaemonProcess, sandbox_id: str, session_id: str) -> None:
        self._address = f"unix:{daemon.places.grpc_socket}"
        self._metadata = (*PROTOCOL_METADATA, ("rc-sandbox", sandbox_id))
        self._session_id = session_id

    def attach(self, channel: grpc.aio.Channel, **fields: object) -> grpc.aio.UnaryStreamCall:
        """The answers."""
        request = pb.AttachSessionRequest(session_id=self._session_id, **fields)  # type: ignore[arg-type]
        return SessionServiceStub(channel).AttachSession(request, metadata=self._metadata)

    def channel(self) -> grpc.aio.Channel:
        """A connection of its own."""
        return grpc.aio.insecure_channel(self._address, options=(*OPTIONS, ("grpc.use_local_subchannel_pool", 1)))

    async def hang(self, channel: grpc.aio.Channel) -> grpc.aio.UnaryStreamCall:
        """Read until something is printed, and no more."""
        call = self.attach(channel)
        while not (await call.read()).HasField("data"):
            pass
        return call

    async def follow(self) -> tuple[int, int]:
        """(last offset, exit code); whatever has expired before it was read is passed over, all else is right."""
        offset = 0
        async with self.channel() as channel:
            while True:
                try:
                    async for item in self.attach(channel, out_offset=offset):
                        if item.HasField("session"):
                            offset = max(offset, item.session.out_first)
                        elif item.HasField("data"):
                            assert item.data.data == _expected(item.data.offset, len(item.data.data))
                            offset = item.data.offset + len(item.data.data)
                        elif item.HasField("exit"):
                            return offset, item.exit.code
                except grpc.aio.AioRpcError as error:
                    assert from_call(error).code is ErrorCode.PRECONDITION


def _expected(offset: int, size: int) -> bytes:
    at = offset % MIB
    return (BLOCK + BLOCK[:65536])[at : at + size]


def most(pid: int) -> int:
    """The most memory a process has ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
async def sandbox_id(home: DaemonProcess) -> AsyncIterator[str]:
    """A sandbox of a daemon that keeps little of each session."""
    home.places.config.mkdir(parents=True)
    (home.places.config / "config.toml").write_text(f"[mirror]\ncap = {CAP}\n")
    home.start()
    async with await DaemonClient.connect(start=False) as client:
        task, _ = await client.create_task(home.spec(name="t"))
        await wait_for(client, task.id, "done")
        yield (await client.get_task("t")).sandbox_id


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE)
async def test_a_flood(sandbox_id: str, home: DaemonProcess, rounds: int) -> None:
    """1 GiB in the long run, less every day."""
    mebibytes = 1024 if rounds > 12 else 128
    session_id = ids.new_id()
    processes = {"daemon": home.pid, "agent": agent_pid(home.home)}
    before = {name: most(pid) for name, pid in processes.items()}
    argv = [word.encode() for word in ("python3", "-c", PRINT, str(mebibytes))]
    viewers = Viewers(home, sandbox_id, session_id)
    async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
        client = await stack.enter_async_context(await DaemonClient.connect(start=False))
        background = await stack.enter_async_context(Background("test"))
        await client.open_session(sandbox_id, session_id, argv=argv, kind="exec", stdin_closed=True, size_cap=CAP * MIB)
        channels = [await stack.enter_async_context(viewers.channel()) for _ in range(HANGING)]
        following = background.spawn(viewers.follow(), "follow")
        hanging = await asyncio.gather(*(viewers.hang(channel) for channel in channels))
        assert await following == (mebibytes * MIB, 0)
        grown = {name: most(pid) - before[name] for name, pid in processes.items()}
        assert not [call for call in hanging if call.done()]
        told = [item async for item in viewers.attach(channels[0], out_offset=(mebibytes - 1) * MIB, no_follow=True)]
    print({name: f"{growth / MIB:.0f} MiB more" for name, growth in grown.items()})
    assert grown["daemon"] < HANGING * BUFFERED + SLACK
    assert grown["agent"] < SLACK
    first = next(item.session.out_first for item in told if item.HasField("session"))
    assert (mebibytes - 2 * CAP) * MIB < first
    assert any(item.mark.kind == "expired" and "were let go: over its cap" in item.mark.text for item in told)


@pytest.mark.timeout(DEADLINE)
async def test_a_command_waits_for_a_slow_reader(sandbox_id: str) -> None:
    mebibytes, session_id = 6 * CAP, ids.new_id()
    argv = [word.encode() for word in ("python3", "-c", PRINT, str(mebibytes))]
    async with await DaemonClient.connect(start=False) as client, asyncio.timeout(DEADLINE):
        await client.open_session(sandbox_id, session_id, argv=argv, kind="exec", size_cap=CAP * MIB)
        offset, status = 0, None
        async for item in AttachedSession(client, sandbox_id, session_id).output(hold=True):
            if isinstance(item, Ended):
                status = item.status
                break
            while offset == 0 and not any(each.blocked for each in await client.list_sessions(sandbox_id)):
                await asyncio.sleep(0.1)
            assert item.data == _expected(offset, len(item.data))
            offset += len(item.data)
    assert (offset, status) == (mebibytes * MIB, ExitStatus())


@pytest.mark.timeout(DEADLINE)
async def test_a_screen_that_came_too_late_is_drawn_anew(sandbox_id: str) -> None:
    flood = "head -c 64M /dev/zero | tr '\\0' x; printf '\\r\\nTHE END'; sleep 600"
    async with await DaemonClient.connect(start=False) as client:
        session_id = ids.new_id()
        await client.open_session(sandbox_id, session_id, kind="shell", argv=[b"sh", b"-c", flood.encode()], pty=True)
        session = AttachedSession(client, sandbox_id, session_id)
        items = session.output(screen=TerminalSize(80, 24))
        shown = b""
        while b"xxx" not in shown:
            shown += await next_bytes(items)
        async with asyncio.timeout(DEADLINE):
            while await mirrored(client, sandbox_id, session_id) < 64 * MIB:
                await asyncio.sleep(0.05)
            tail = b""
            while b"THE END" not in tail:
                tail = tail[-80:] + await next_bytes(items)
                shown = shown if b"\x1b[2J" in shown else tail
        assert b"\x1b[2J" in shown
        await session.close()


async def next_bytes(items: AsyncIterator[Output | Ended]) -> bytes:
    """What is shown next."""
    item = await anext(items)
    assert isinstance(item, Output)
    return item.data


async def mirrored(client: DaemonClient, sandbox_id: str, session_id: str) -> int:
    """How much of a session is on this host."""
    request = pb.AttachSessionRequest(session_id=session_id, out_offset=1 << 40, no_follow=True)
    metadata = (*PROTOCOL_METADATA, ("rc-sandbox", sandbox_id))
    async for item in client.sessions.AttachSession(request, metadata=metadata):
        if item.HasField("session"):
            return int(item.session.out_end)
    raise AssertionError("no session")
