"""A link over a terminal that is not 8-bit clean."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

from support import unclean
from support.linked import PATIENCE, Through, linked, until
from support.sandboxes import read_all

from rc_daemon.links.calls import unary
from rc_protos.model import LinkState
from rc_protos.v1 import file_pb2
from rc_protos.v1 import session_pb2 as pb
from rc_providers.base import ByteStream


class Unclean(Through):
    """Only a terminal, and text."""

    clean_8bit = False

    async def open(self, argv: Sequence[str]) -> ByteStream:
        return await self.inner.open([sys.executable, str(Path(unclean.__file__)), *argv])


async def test_the_transport_really_is_unclean() -> None:
    async with linked(through=Unclean) as given:
        stream = await given.sandbox.open(["printf", "\\377\\376a\\n"])
        assert await read_all(stream) == "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}a\r\n".encode()
        await stream.close()


async def test_every_byte_passes_both_ways_over_cuts() -> None:
    data = random.Random(1).randbytes(1 << 20) + "\N{REPLACEMENT CHARACTER}".encode() * 100 + b"\xff\xfe\xfd"
    async with linked(through=Unclean) as given:
        path = Path(given.place.provider.root) / "data"
        path.write_bytes(data)
        await given.open("s1", "cat", str(path), stdin_closed=True)
        got = bytearray()
        for _ in range(3):
            async for item in given.attach("s1", out_offset=len(got)):
                got += item.data.data
                if len(got) < len(data) and len(got) > len(data) // 4:
                    break
            given.link.cut()
            await given.link.up(PATIENCE)
        async for item in given.attach("s1", out_offset=len(got)):
            got += item.data.data
        assert bytes(got) == data


async def test_it_comes_back_after_every_cut() -> None:
    async with linked(through=Unclean) as given:
        for n in range(3):
            await given.link.up(PATIENCE)
            assert given.link.reconnects == n
            answer = await unary(given.link.files.StatFile, file_pb2.StatFileRequest(path=b"."))
            assert answer.file.kind == file_pb2.FILE_KIND_DIRECTORY
            given.link.cut()
            await until(lambda: given.link.state is LinkState.DOWN)
        await given.link.up(PATIENCE)
        await unary(given.link.sessions.ListSessions, pb.ListSessionsRequest())
