"""Connections into and out of a sandbox."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from support.agent import Client, connected, running_agent, until

from rc_protos.v1 import forward_pb2 as pb

DATA = random.Random(3).randbytes(3 << 20)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    with running_agent() as agent:
        async with connected(agent) as made:
            await made.hello()
            yield made


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what came, once it has all come: only a half-close lets it begin."""
    data = await reader.read()
    writer.write(data.swapcase())
    await writer.drain()
    writer.close()


async def exchange(stream: object, data: bytes, **first: str) -> bytes:
    """Send everything, half-close, read everything."""
    async with stream as call:  # type: ignore[attr-defined]
        request = pb.ConnectForwardRequest if "endpoint" in first else pb.CarryForwardRequest
        await call.send_message(request(**first))
        for at in range(0, len(data), 64 << 10):
            await call.send_message(request(data=data[at : at + (64 << 10)]))
        await call.send_message(request(end=True), end=True)
        return b"".join([answer.data async for answer in call])


async def test_a_connection_carries_every_byte_and_both_half_closes(client: Client) -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        endpoint = f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        results = await asyncio.gather(
            *[exchange(client.forwards.ConnectForward.open(), DATA, endpoint=endpoint) for _ in range(3)]
        )
        assert results == [DATA.swapcase()] * 3


@pytest.mark.parametrize(
    ("endpoint", "status"),
    [
        ("tcp:127.0.0.1:1", Status.UNAVAILABLE),
        ("unix:/nowhere", Status.UNAVAILABLE),
        ("tcp:1", Status.INVALID_ARGUMENT),
        ("80", Status.INVALID_ARGUMENT),
    ],
)
async def test_where_nobody_listens(client: Client, endpoint: str, status: Status) -> None:
    with pytest.raises(GRPCError) as caught:
        await exchange(client.forwards.ConnectForward.open(), b"", endpoint=endpoint)
    assert caught.value.status is status
    assert endpoint in (caught.value.message or "")


async def test_a_listener_announces_what_comes_and_ends_with_its_call(client: Client) -> None:
    async with client.forwards.ListenForward.open() as listener:
        await listener.send_message(pb.ListenForwardRequest(endpoint="tcp:127.0.0.1:0"), end=True)
        bound = (await listener.recv_message()).endpoint  # type: ignore[union-attr]
        port = int(bound.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        announced = await listener.recv_message()
        assert announced is not None
        assert announced.peer.startswith("127.0.0.1:")
        writer.write(DATA)
        writer.write_eof()
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(reader.read())
            stream = client.forwards.CarryForward.open()
            got = group.create_task(exchange(stream, b"hello", connection_id=announced.connection_id))
        assert (got.result(), answer.result()) == (DATA, b"hello")
        writer.close()
        await listener.cancel()

    async def closed() -> bool:
        try:
            _, again = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        again.close()
        return False

    await until(closed)


async def test_a_connection_is_carried_once(client: Client) -> None:
    with pytest.raises(GRPCError) as caught:
        await exchange(client.forwards.CarryForward.open(), b"", connection_id="nobody's")
    assert caught.value.status is Status.NOT_FOUND


@pytest.mark.skipif(sys.platform != "linux", reason="ports are seen through /proc")
async def test_what_begins_to_listen_is_told(client: Client) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    async with client.forwards.WatchPorts.open() as watch:
        await watch.send_message(pb.WatchPortsRequest(follow=True), end=True)
        assert list((await watch.recv_message()).ports) == []  # type: ignore[union-attr]
        await client.open("s1", sys.executable, "-c", code)
        async for item in client.attach("s1"):
            if item.HasField("data"):
                port = int(item.data.data)
                break
        async with asyncio.timeout(30):
            found = (await watch.recv_message()).ports  # type: ignore[union-attr]
        assert [(each.port, each.address, each.command[:6]) for each in found] == [(port, "127.0.0.1", "python")]
        await client.close("s1")
        async with asyncio.timeout(30):
            assert list((await watch.recv_message()).ports) == []  # type: ignore[union-attr]
        await watch.cancel()
