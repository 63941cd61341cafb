"""Short words for the files of an agent."""

from __future__ import annotations

from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from rc_protos.v1 import file_pb2 as pb
from support.agent import Client


async def write(
    client: Client, path: bytes | str, *pieces: bytes, end: Any = None, **fields: Any
) -> pb.WriteFileResponse:
    """One WriteFile call; `end` is the last message's digest, or a callable to run before the half-close."""
    first = pb.WriteFileRequest(path=path if isinstance(path, bytes) else path.encode(), **fields)
    async with client.files.WriteFile.open() as stream:
        await stream.send_message(first)
        for piece in pieces:
            await stream.send_message(pb.WriteFileRequest(data=piece))
        await stream.send_message(pb.WriteFileRequest(sha256=end or b""), end=True)
        answer = await stream.recv_message()
    assert answer is not None
    return answer


async def read(client: Client, path: bytes, **fields: Any) -> tuple[bytes, bytes]:
    """(bytes, digest of the last message)."""
    answers: list[pb.ReadFileResponse] = await client.files.ReadFile(pb.ReadFileRequest(path=path, **fields))
    return b"".join(answer.data for answer in answers), answers[-1].sha256


async def refused(call: Any) -> tuple[str, str]:
    """(our code, message) of a call that fails."""
    with pytest.raises(GRPCError) as caught:
        await call
    return caught.value.status.name, caught.value.message or ""
