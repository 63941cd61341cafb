from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from support.agent import agent_pid
from support.linked import PATIENCE, QUICK, Piped, Through, bundle, changed_bundle, linked, until

from rc_daemon.links import Identity, Links, SandboxLink
from rc_daemon.links.calls import streaming, unary
from rc_daemon.links.channel import StreamChannel
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import LinkState
from rc_protos.v1 import session_pb2 as pb
from rc_protos.v1.session_grpc import SessionServiceStub
from rc_protos.version import VERSION
from rc_providers.base import ByteStream


async def alive(link: SandboxLink) -> bool:
    """A call over the link is answered."""
    await unary(link.sessions.ListSessions, pb.ListSessionsRequest(), timeout=PATIENCE)
    return True


@pytest.mark.parametrize("kind", ["none", "fake"])
async def test_it_comes_up_and_says_what_the_agent_is(kind: str) -> None:
    changes: list[LinkState] = []
    async with linked(kind) as given:
        given.links.listen(lambda _, state: changes.append(state))
        assert given.link.state is LinkState.CONNECTING
        await given.link.up(PATIENCE)
        assert given.link.hello is not None
        assert given.link.hello.bundle == bundle().digest
        assert await alive(given.link)
        assert [each.state for each in given.links.statuses({"sb1": "t1"})] == [LinkState.UP]
        assert given.links.statuses({"sb1": "t1"})[0].task_id == "t1"
        await given.links.drop("sb1")
        assert given.links.get("sb1") is None
    assert changes == [LinkState.UP, LinkState.DOWN]


@pytest.mark.parametrize("through", [Through, Piped])
async def test_it_heals_after_every_cut(through: type[Through]) -> None:
    async with linked(through=through) as given:
        link = given.link
        for n in range(5):
            await link.up(PATIENCE)
            assert link.reconnects == n
            link.cut()
            with pytest.raises(RemoteClaudeError) as caught:
                await alive(link)
            assert caught.value.code is ErrorCode.UNAVAILABLE
            await until(lambda: link.state is LinkState.DOWN)
            assert link.last_error
        await link.up(PATIENCE)
        assert await alive(link)


async def test_a_cut_ends_every_call_at_once() -> None:
    async with linked() as given:
        await given.open("s1", "sleep", "1000")

        async def follow() -> str:
            try:
                async for _ in streaming(given.link.sessions.AttachSession, pb.AttachSessionRequest(session_id="s1")):
                    pass
            except RemoteClaudeError as error:
                return error.code
            return "ended"

        calls = [asyncio.ensure_future(follow()) for _ in range(20)]
        await asyncio.sleep(0.3)
        given.link.cut()
        async with asyncio.timeout(PATIENCE):
            assert set(await asyncio.gather(*calls)) == {ErrorCode.UNAVAILABLE}


async def test_an_agent_that_leaves_at_once_is_a_cut() -> None:
    other = H2Connection(H2Configuration(client_side=False))
    other.initiate_connection()
    other.close_connection()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = StreamChannel(ours, other.data_to_send())
    with theirs, pytest.raises(RemoteClaudeError) as caught:
        await unary(SessionServiceStub(channel).ListSessions, pb.ListSessionsRequest())
    assert caught.value.code is ErrorCode.UNAVAILABLE
    channel.close()


async def test_it_waits_no_longer_than_asked() -> None:
    class Never(Through):
        async def open(self, argv: Sequence[str]) -> ByteStream:
            raise errors.unavailable("the network is away")

    async with linked(through=Never) as given:
        with pytest.raises(RemoteClaudeError, match="sb1 is (connecting|down).*") as caught:
            await given.link.up(0.3)
        assert caught.value.code is ErrorCode.UNAVAILABLE
        await until(lambda: given.link.last_error == "the network is away")


async def test_it_tries_on_whatever_goes_wrong() -> None:
    class Broken(Through):
        failures: list[Exception] = [
            ValueError("a defect"),
            OSError("no route"),
            errors.internal("strange"),
            EOFError(),
            errors.not_found("gone for a moment"),
        ]

        async def open(self, argv: Sequence[str]) -> ByteStream:
            if self.failures:
                raise self.failures.pop(0)
            return await self.inner.open(argv)

    async with linked(through=Broken) as given:

        async def up() -> None:
            while True:
                try:
                    return await given.link.up(PATIENCE)
                except RemoteClaudeError as error:
                    assert error.code is ErrorCode.NOT_FOUND
                    await asyncio.sleep(0.05)

        async with asyncio.timeout(PATIENCE):
            await up()
        assert await alive(given.link)


async def test_a_sandbox_without_python_says_so() -> None:
    class Bare(Through):
        async def open(self, argv: Sequence[str]) -> ByteStream:
            return await self.inner.open(["sh", "-c", "echo no such thing here; exit 127"])

    async with linked(through=Bare) as given:
        await until(lambda: given.link.state is LinkState.DOWN)
        assert "python3" in given.link.last_error
        assert "no such thing here" in given.link.last_error


async def test_a_frozen_agent_is_noticed_and_heals() -> None:
    async with linked(timing=QUICK) as given:
        await given.link.up(PATIENCE)
        pid = agent_pid(given.root)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: given.link.state is LinkState.DOWN)
            assert "silent" in given.link.last_error
        finally:
            os.kill(pid, signal.SIGCONT)
        await given.link.up(PATIENCE)
        assert agent_pid(given.root) == pid


async def test_a_killed_agent_comes_back_under_its_sessions() -> None:
    async with linked() as given:
        await given.open("s1", "sh", "-c", "read line; echo got $line; exit 4")
        first = given.link.hello
        os.kill(agent_pid(given.root), signal.SIGKILL)
        await until(lambda: given.link.state is LinkState.DOWN)
        await given.link.up(PATIENCE)
        assert first is not None
        assert given.link.hello is not None
        assert given.link.hello.instance_id != first.instance_id
        await given.type("s1", b"it\n")
        items = [item async for item in given.attach("s1")]
        assert items[-1].exit.code == 4


async def test_an_older_placement_is_fenced_off_and_told() -> None:
    async with linked() as given:
        await given.link.up(PATIENCE)
        newer = Links(Identity("daemon2", "0.1.0", bundle()))
        try:
            await newer.ensure("sb1", given.sandbox, 2).up(PATIENCE)
            await until(lambda: "newer placement" in given.link.last_error)
            with pytest.raises(RemoteClaudeError) as caught:
                await given.link.up(PATIENCE)
            assert caught.value.code is ErrorCode.PRECONDITION
            # The task comes back: its next placement is ours.
            given.links.ensure("sb1", given.sandbox, 3)
            async with asyncio.timeout(PATIENCE):
                while given.link.state is not LinkState.UP:
                    await asyncio.sleep(0.05)
        finally:
            await newer.close()


@pytest.mark.parametrize("through", [Through, Piped])
async def test_an_agent_of_another_version_is_replaced_under_its_sessions(
    through: type[Through], tmp_path: Path
) -> None:
    async with linked(through=through) as given:
        await given.open("s1", "sh", "-c", "read line; echo got $line; exit 4")
        await given.links.drop("sb1")
        other = changed_bundle(tmp_path, "rc_protos/version.py", b'VERSION = "', b'VERSION = "1')
        newer = Links(Identity("daemon1", "0.2.0", other))
        try:
            link = newer.ensure("sb1", given.sandbox)
            await link.up(PATIENCE)
            assert link.hello is not None
            assert (link.hello.version, link.hello.bundle) == (f"1{VERSION}", other.digest)
            found = (await unary(link.sessions.GetSession, pb.GetSessionRequest(session_id="s1"))).session
            assert not found.ended
        finally:
            await newer.close()
        # And back again, as after a roll-back.
        given.links.ensure("sb1", given.sandbox)
        await given.type("s1", b"it\n")
        assert [item async for item in given.attach("s1")][-1].exit.code == 4


async def test_an_agent_of_another_protocol_is_replaced(tmp_path: Path) -> None:
    other = changed_bundle(tmp_path, "rc_agent/health.py", b"PROTOCOL_MAX = 1", b"PROTOCOL_MAX = 0")
    async with linked(through=Piped) as given:
        await given.links.drop("sb1")
        older = Links(Identity("daemon1", "0.0.1", other))
        link = older.ensure("sb1", given.sandbox)
        with pytest.raises(RemoteClaudeError, match="speaks protocol 1 to 0"):
            await link.up(PATIENCE)
            await link.up(PATIENCE)
        await older.close()
        link = given.links.ensure("sb1", given.sandbox)
        await link.up(PATIENCE)
        assert link.hello is not None
        assert link.hello.bundle == bundle().digest


async def test_http2_that_comes_together_with_ready_is_kept() -> None:
    class Late(Through):
        async def open(self, argv: Sequence[str]) -> ByteStream:
            stream = await self.inner.open(argv)
            read = stream.read

            async def later(limit: int = 65536) -> bytes:
                await asyncio.sleep(0.5)
                return await read(limit)

            stream.read = later  # type: ignore[method-assign]
            return stream

    async with linked(through=Late) as given:
        for _ in range(3):
            await given.link.up(PATIENCE)
            assert await alive(given.link)
            given.link.cut()
            await until(lambda: given.link.state is LinkState.DOWN)


async def test_a_listener_with_a_defect_harms_nobody() -> None:
    def listener(_sandbox_id: str, _state: LinkState) -> None:
        raise ValueError("a defect")

    async with linked() as given:
        given.links.listen(listener)
        await given.link.up(PATIENCE)
        assert await alive(given.link)


async def test_nothing_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with linked("fake") as given:
        for _ in range(3):
            await given.link.up(PATIENCE)
            given.link.cut()
            await until(lambda: given.link.state is LinkState.DOWN)
        await given.link.up(PATIENCE)
    await asyncio.sleep(0.1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]
