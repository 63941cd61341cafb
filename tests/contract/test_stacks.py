"""Each gRPC stack against the other: what one says, the other hears. One schema, two generated sets of stubs.

The agent's Border and grpclib serve grpcio's client; grpcio serves the link's calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from grpclib.client import Channel
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream

from rc_agent.errors import Border
from rc_client.channel import from_call, open_channel
from rc_daemon.links.calls import opened
from rc_daemon.links.proxy import abort
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import health_pb2 as pb
from rc_protos.v1.health_grpc import HealthServiceBase
from rc_protos.v1.health_grpc import HealthServiceStub as LibStub
from rc_protos.v1.health_pb2_grpc import HealthServiceServicer, HealthServiceStub, add_HealthServiceServicer_to_server

DEADLINE = 30.0
BINARY = bytes(range(256))
SAID = (("x-text", "plain"), ("x-bytes-bin", BINARY))
BIG = "x" * (3 << 20)


class Rules:
    """What both servers do; the daemon id of Hello chooses, beats are echoed with their number doubled."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.beats: list[int] = []

    def heard(self, metadata: Any) -> None:
        self.metadata = dict(metadata)

    async def hello(self, request: pb.HelloRequest) -> pb.HelloResponse:
        if request.daemon_id == "wait":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if request.daemon_id in set(ErrorCode):
            raise RemoteClaudeError("was föhlt", "was tun: 中", code=ErrorCode(request.daemon_id))
        return pb.HelloResponse(version=request.version, workspace=BINARY, protocol=request.protocol_max)


class Lib(HealthServiceBase):
    """Served by grpclib, as in the agent."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    async def Hello(self, stream: Stream[pb.HelloRequest, pb.HelloResponse]) -> None:
        self.rules.heard(stream.metadata or {})
        request = await stream.recv_message()
        assert request is not None
        answer = await self.rules.hello(request)
        await stream.send_initial_metadata(metadata=SAID)
        await stream.send_message(answer)
        await stream.send_trailing_metadata(metadata=SAID)

    async def Beat(self, stream: Stream[pb.BeatRequest, pb.BeatResponse]) -> None:
        try:
            async for request in stream:
                self.rules.beats.append(request.number)
                await stream.send_message(pb.BeatResponse(number=2 * request.number))
            # After the caller's half-close the other way is still open.
            await stream.send_message(pb.BeatResponse(number=-1))
        except asyncio.CancelledError:
            self.rules.cancelled.set()
            raise

    async def WatchStats(self, stream: Stream[pb.WatchStatsRequest, pb.WatchStatsResponse]) -> None:
        raise errors.unsupported("not here")

    async def Shutdown(self, stream: Stream[pb.ShutdownRequest, pb.ShutdownResponse]) -> None:
        raise errors.unsupported("not here")


class Core(HealthServiceServicer):
    """Served by grpcio, as in the daemon."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    async def Hello(self, request: pb.HelloRequest, context: Any) -> pb.HelloResponse:
        self.rules.heard(context.invocation_metadata())
        try:
            answer = await self.rules.hello(request)
        except RemoteClaudeError as error:
            await abort(context, error)
            raise AssertionError from error
        await context.send_initial_metadata(SAID)
        context.set_trailing_metadata(SAID)
        return answer

    async def Beat(self, requests: AsyncIterator[pb.BeatRequest], context: Any) -> AsyncIterator[pb.BeatResponse]:
        try:
            async for request in requests:
                self.rules.beats.append(request.number)
                yield pb.BeatResponse(number=2 * request.number)
            yield pb.BeatResponse(number=-1)
        finally:
            # Whether it waits for a message or for one of its own to go out: only a call that is left ends early.
            self.rules.cancelled.set()


@asynccontextmanager
async def lib_server(path: Path, rules: Rules) -> AsyncIterator[None]:
    server = Server([Border(Lib(rules), lambda stream, path: None)])
    make, made = server._protocol_factory, list[H2Protocol]()
    server._protocol_factory = lambda: made.append(make()) or made[-1]  # type: ignore[method-assign, func-returns-value]
    await server.start(path=str(path))
    try:
        yield
    finally:
        server.close()
        # grpclib leaves open connections to their clients.
        for protocol in made:
            protocol.connection.close()
        await asyncio.sleep(0)
        await server.wait_closed()


@asynccontextmanager
async def core_server(path: Path, rules: Rules) -> AsyncIterator[None]:
    server = grpc.aio.server()
    add_HealthServiceServicer_to_server(Core(rules), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


class Caller(Protocol):
    """The same calls on either client; failures are ours."""

    async def hello(self, timeout: float = DEADLINE, metadata: Any = (), **fields: Any) -> Any:
        """(answer, initial metadata, trailing metadata)."""

    async def beats(self, numbers: list[int], *, leave: bool = False) -> list[int]:
        """Each answer before the next number; at the end half-close and read on, or cancel."""


class LibCaller:
    def __init__(self, path: Path) -> None:
        self.channel = Channel(path=str(path))
        self.stub = LibStub(self.channel)

    async def hello(self, timeout: float = DEADLINE, metadata: Any = (), **fields: Any) -> Any:
        async with opened(self.stub.Hello.open(timeout=timeout, metadata=list(metadata))) as stream:
            await stream.send_message(pb.HelloRequest(**fields), end=True)
            answer = await stream.recv_message()
            await stream.recv_trailing_metadata()
        return answer, dict(stream.initial_metadata), dict(stream.trailing_metadata)

    async def beats(self, numbers: list[int], *, leave: bool = False) -> list[int]:
        answers = []
        async with opened(self.stub.Beat.open(timeout=DEADLINE)) as stream:
            for number in numbers:
                await stream.send_message(pb.BeatRequest(number=number))
                answers.append((await stream.recv_message()).number)
            if leave:
                return answers
            await stream.end()
            async for answer in stream:
                answers.append(answer.number)
        return answers

    async def close(self) -> None:
        self.channel.close()


class CoreCaller:
    def __init__(self, path: Path) -> None:
        self.channel = open_channel(str(path))
        self.stub = HealthServiceStub(self.channel)

    async def hello(self, timeout: float = DEADLINE, metadata: Any = (), **fields: Any) -> Any:
        call = self.stub.Hello(pb.HelloRequest(**fields), timeout=timeout, metadata=tuple(metadata))
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise from_call(error) from error
        return answer, dict(await call.initial_metadata()), dict(await call.trailing_metadata())

    async def beats(self, numbers: list[int], *, leave: bool = False) -> list[int]:
        call = self.stub.Beat(timeout=DEADLINE)
        answers = []
        for number in numbers:
            await call.write(pb.BeatRequest(number=number))
            answers.append((await call.read()).number)
        if leave:
            call.cancel()
            return answers
        await call.done_writing()
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer.number)
        return answers

    async def close(self) -> None:
        await self.channel.close()


PAIRS = {
    "grpcio calls grpclib": (CoreCaller, lib_server),
    "grpclib calls grpcio": (LibCaller, core_server),
}


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture(params=PAIRS)
async def caller(request: pytest.FixtureRequest, tmp_path: Path, rules: Rules) -> AsyncIterator[Caller]:
    client, server = PAIRS[request.param]
    path = tmp_path / "s"
    async with server(path, rules):
        made = client(path)
        yield made
        await made.close()


async def test_messages_and_metadata_pass_unchanged(caller: Caller, rules: Rules) -> None:
    answer, initial, trailing = await caller.hello(metadata=SAID, version=BIG, protocol_max=7)
    assert (answer.version, answer.workspace, answer.protocol) == (BIG, BINARY, 7)
    for told in (rules.metadata, initial, trailing):
        assert {key: told.get(key) for key, _ in SAID} == dict(SAID)


@pytest.mark.parametrize("code", ErrorCode)
async def test_our_errors_keep_code_message_and_hint(caller: Caller, code: ErrorCode) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await caller.hello(daemon_id=str(code))
    assert (caught.value.code, caught.value.message, caught.value.hint) == (code, "was föhlt", "was tun: 中")


async def test_a_deadline_ends_the_call_on_both_sides(caller: Caller, rules: Rules) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await caller.hello(timeout=0.3, daemon_id="wait")
    assert caught.value.code is ErrorCode.TIMEOUT
    await asyncio.wait_for(rules.cancelled.wait(), DEADLINE)


async def test_a_caller_that_is_cancelled_ends_the_call_over_there(caller: Caller, rules: Rules) -> None:
    call = asyncio.ensure_future(caller.hello(daemon_id="wait"))
    await asyncio.wait_for(rules.waiting.wait(), DEADLINE)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(rules.cancelled.wait(), DEADLINE)
    # The connection is as good as before.
    await caller.hello()


async def test_both_ways_flow_at_once_and_a_half_close_ends_one(caller: Caller, rules: Rules) -> None:
    numbers = list(range(300))
    assert await caller.beats(numbers) == [*(2 * number for number in numbers), -1]
    assert rules.beats == numbers


async def test_leaving_a_stream_ends_it_over_there(caller: Caller, rules: Rules) -> None:
    assert await caller.beats([1, 2], leave=True) == [2, 4]
    await asyncio.wait_for(rules.cancelled.wait(), DEADLINE)


async def test_many_calls_at_once_are_not_mixed_up(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.hello(version=str(n)) for n in range(90)))
    assert [answer.version for answer, _, _ in answers] == [str(n) for n in range(90)]
