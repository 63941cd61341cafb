from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress

import pytest
from grpclib.exceptions import GRPCError

from rc_protos.v1 import file_pb2 as pb
from support.agent import AgentProcess, Client
from support.agent_files import read, refused, write

PART = b".rc-part-x"
DEADLINE = 60


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def come(client: Client) -> int:
    """How much of the part is there."""
    with suppress(GRPCError):
        return (await client.files.StatFile(pb.StatFileRequest(path=b"f", part=PART))).file.size
    return 0


async def begin(client: Client, data: bytes) -> None:
    """A part, as a cut leaves it."""
    async with asyncio.timeout(DEADLINE):
        async with client.files.WriteFile.open() as stream:
            await stream.send_message(pb.WriteFileRequest(path=b"f", part=PART, data=data))
            while await come(client) != len(data):
                await asyncio.sleep(0.01)
            await stream.cancel()
        # Until it is let go.
        while (await refused(write(client, b"f", part=PART, offset=1 << 30)))[0] == "UNAVAILABLE":
            await asyncio.sleep(0.01)


async def test_what_has_come_is_gone_on_with(client: Client, agent: AgentProcess) -> None:
    data = os.urandom(700_000)
    await begin(client, data[:300_000])
    assert await come(client) == 300_000
    # Less of it, as when the caller knows of less.
    await write(client, b"f", data[200_000:], part=PART, offset=200_000, end=sha(data))
    assert await read(client, b"f") == (data, sha(data))
    assert os.listdir(agent.workspace) == ["f"]
    part = await read(client, b"f", offset=650_000, whole=True)
    assert part == (data[650_000:], sha(data))


async def test_a_part_of_something_else_is_found_out(client: Client, agent: AgentProcess) -> None:
    await begin(client, b"other")
    assert (await refused(write(client, b"f", b"!", part=PART, offset=9)))[0] == "FAILED_PRECONDITION"
    assert (await refused(write(client, b"f", b"!", part=PART, offset=5, end=sha(b"mine!"))))[0] == "DATA_LOSS"
    assert os.listdir(agent.workspace) == []


async def test_two_calls_do_not_write_one_part(client: Client) -> None:
    async with client.files.WriteFile.open() as stream:
        await stream.send_message(pb.WriteFileRequest(path=b"f", part=PART, data=b"a"))
        while await come(client) != 1:
            await asyncio.sleep(0.01)
        assert (await refused(write(client, b"f", b"b", part=PART)))[0] == "UNAVAILABLE"
        await stream.send_message(pb.WriteFileRequest(data=b"c"), end=True)
        assert await stream.recv_message() is not None
    assert (await read(client, b"f"))[0] == b"ac"


@pytest.mark.parametrize("name", [b"../.rc-x", b"f", b".rc-/x", b".rc-\0"])
async def test_a_part_is_beside_the_file(client: Client, agent: AgentProcess, name: bytes) -> None:
    assert (await refused(write(client, b"f", b"x", part=name)))[0] == "INVALID_ARGUMENT"
    assert os.listdir(agent.workspace) == []


async def test_only_what_was_read_is_written_over(client: Client, agent: AgentProcess) -> None:
    await write(client, b"f", b"one", if_sha256=sha(b""))
    await write(client, b"f", b"two", if_sha256=sha(b"one"))
    status, message = await refused(write(client, b"f", b"three", if_sha256=sha(b"one")))
    assert (status, "changed meanwhile" in message) == ("ABORTED", True)
    assert (await read(client, b"f"))[0] == b"two"
    # An answer that was lost: what is written is there already.
    await write(client, b"f", b"two", if_sha256=sha(b"one"))
    assert os.listdir(agent.workspace) == ["f"]
