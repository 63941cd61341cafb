from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from rc_agent.files.listing import BATCH
from rc_protos.v1 import file_pb2 as pb
from support.agent import AgentProcess, Client

FOLDERS, IN_EACH = 100, 1000


async def listed(client: Client, **fields: object) -> list[bytes]:
    answers: Iterable[pb.ListFilesResponse] = await client.files.ListFiles(pb.ListFilesRequest(**fields))  # type: ignore[arg-type]
    return sorted(file.path for answer in answers for file in answer.files)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (b"*.py", [b"d/a.py", b"d/sub/b.py"]),
        (b"sub/*", [b"d/sub/b.py", b"d/sub/caf\xe9"]),
        (b"caf*", [b"d/sub/caf\xe9"]),
        (b"[", []),
        (b"sub", [b"d/sub"]),
    ],
)
async def test_files_are_found_by_name(client: Client, agent: AgentProcess, pattern: bytes, found: list[bytes]) -> None:
    (agent.workspace / "d/sub").mkdir(parents=True)
    for name in (b"d/a.py", b"d/sub/b.py", b"d/sub/caf\xe9"):
        open(os.fsencode(agent.workspace) + b"/" + name, "x").close()
    assert await listed(client, path=b"d", recursive=True, pattern=pattern) == found


async def test_a_hundred_thousand_files(client: Client, agent: AgentProcess) -> None:
    for folder in range(FOLDERS):
        place = agent.workspace / f"{folder:02}"
        place.mkdir()
        for number in range(IN_EACH):
            os.close(os.open(place / f"{number:03}.txt", os.O_CREAT | os.O_WRONLY))
    count = 0
    async with client.files.ListFiles.open() as stream:
        await stream.send_message(pb.ListFilesRequest(recursive=True), end=True)
        async for answer in stream:
            assert len(answer.files) <= BATCH
            count += len(answer.files)
    assert count == FOLDERS * (IN_EACH + 1)
    assert await listed(client, recursive=True, pattern=b"99/999.*") == [b"99/999.txt"]
