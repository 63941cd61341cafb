from __future__ import annotations

import os

import pytest

from rc_protos.v1 import file_pb2 as pb
from support.agent import AgentProcess, Client
from support.agent_files import read, refused, write

ESCAPES = [
    b"..",
    b"../secret",
    b"a/../../secret",
    b"way/secret",
    b"pointer",
    b"way/../secret",
    b"/etc/passwd",
    b"/",
    b"a/./../..",
]


@pytest.fixture
def hostile(agent: AgentProcess) -> AgentProcess:
    """A workspace with ways out."""
    (agent.root / "secret").write_bytes(b"secret")
    (agent.workspace / "a").mkdir()
    (agent.workspace / "way").symlink_to("..")
    (agent.workspace / "pointer").symlink_to("../secret")
    return agent


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out_unasked(client: Client, hostile: AgentProcess, path: bytes) -> None:
    calls = [
        read(client, path),
        write(client, path, b"mine"),
        client.files.ListFiles(pb.ListFilesRequest(path=path)),
        client.files.ArchiveFiles(pb.ArchiveFilesRequest(root=path)),
        client.files.ExtractFiles([pb.ExtractFilesRequest(root=path)]),
        client.files.WatchFiles(pb.WatchFilesRequest(path=path)),
        client.files.StatFile(pb.StatFileRequest(path=path, follow=True)),
        client.files.StatFile(pb.StatFileRequest(path=path, part=b".rc-x")),
    ]
    if path != b"pointer":
        # The link itself is the workspace's own.
        calls += [
            client.files.StatFile(pb.StatFileRequest(path=path)),
            client.files.RemoveFile(pb.RemoveFileRequest(path=path, recursive=True)),
            client.files.ArchiveFiles(pb.ArchiveFilesRequest(paths=[path])),
        ]
    assert {(await refused(call))[0] for call in calls} == {"PERMISSION_DENIED"}
    assert (hostile.root / "secret").read_bytes() == b"secret"


async def test_whoever_asks_gets_out(client: Client, hostile: AgentProcess) -> None:
    assert (await read(client, b"way/secret", outside=True))[0] == b"secret"
    await write(client, b"../new", b"new", outside=True)
    assert (hostile.root / "new").read_bytes() == b"new"


async def test_a_workspace_is_not_its_neighbour(client: Client, agent: AgentProcess) -> None:
    neighbour = agent.root / f"{agent.workspace.name}2"
    neighbour.mkdir()
    assert (await refused(write(client, os.fsencode(neighbour / "f"), b"x")))[0] == "PERMISSION_DENIED"
    await write(client, os.fsencode(agent.workspace / "f"), b"x")
