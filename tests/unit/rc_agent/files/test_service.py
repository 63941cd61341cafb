from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from rc_agent.files.listing import BATCH
from rc_agent.files.service import CHUNK
from rc_protos.errors import CODE_KEY
from rc_protos.v1 import file_pb2 as pb
from support.agent import AgentProcess, Client
from support.agent_files import read, refused, write


# A place outside of everything the agent was told of.
OUT = f"/tmp/rc-test-{os.getpid()}"


async def archive(client: Client, root: bytes, *paths: bytes) -> bytes:
    answers = await client.files.ArchiveFiles(pb.ArchiveFilesRequest(root=root, paths=paths))
    data = b"".join(answer.data for answer in answers)
    assert answers[-1].sha256 == hashlib.sha256(data).digest()
    return data


async def extract(client: Client, root: bytes, data: bytes, sha256: bytes = b"") -> int:
    pieces = [pb.ExtractFilesRequest(data=data[at : at + 50_000]) for at in range(0, len(data), 50_000)]
    requests = [pb.ExtractFilesRequest(root=root), *pieces, pb.ExtractFilesRequest(sha256=sha256)]
    answer: pb.ExtractFilesResponse = await client.files.ExtractFiles(requests)
    return answer.files


def tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def test_a_file_comes_back_as_it_was_written(client: Client, agent: AgentProcess) -> None:
    data = os.urandom(3 * CHUNK + 1)
    digest = hashlib.sha256(data).digest()
    pieces = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
    answer = await write(client, "a/b/f", *pieces, end=digest, mode=0o640, make_parents=True)
    assert (answer.sha256, answer.file.size, answer.file.mode, answer.file.path) == (digest, len(data), 0o640, b"a/b/f")
    assert await read(client, b"a/b/f") == (data, digest)
    part = data[CHUNK - 5 : CHUNK + 5]
    assert await read(client, b"a/b/f", offset=CHUNK - 5, length=10) == (part, hashlib.sha256(part).digest())
    assert names(agent.workspace / "a/b") == ["f"]


@pytest.mark.parametrize("name", [b"caf\xe9 \xff\n", b" ", b"-rf", "中".encode(), b"n" * 255])
async def test_any_name_a_file_can_have_works(client: Client, name: bytes) -> None:
    await write(client, name, b"x")
    info: pb.FileInfo = (await client.files.StatFile(pb.StatFileRequest(path=name))).file
    assert (info.path, info.size, info.kind) == (name, 1, pb.FILE_KIND_FILE)
    (answer,) = await client.files.ListFiles(pb.ListFilesRequest(path=b"."))
    assert [file.path for file in answer.files] == [b"./" + name]
    await client.files.RemoveFile(pb.RemoveFileRequest(path=name))
    assert await client.files.ListFiles(pb.ListFilesRequest(path=b".")) == []


async def test_a_write_that_does_not_finish_leaves_what_was_there(client: Client, agent: AgentProcess) -> None:
    await write(client, "f", b"old", mode=0o751)
    status, message = await refused(write(client, "f", b"new", end=b"wrong"))
    assert (status, "sha256 differs" in message) == ("DATA_LOSS", True)
    # A caller that is cut in the middle.
    async with client.files.WriteFile.open() as stream:
        await stream.send_message(pb.WriteFileRequest(path=b"f", data=b"half"))
        await stream.cancel()
    assert await read(client, b"f") == (b"old", hashlib.sha256(b"old").digest())
    await write(client, "f", b"newer")
    info = (await client.files.StatFile(pb.StatFileRequest(path=b"f"))).file
    assert info.mode == 0o751
    assert names(agent.workspace) == ["f"]


async def test_a_killed_agent_leaves_the_old_file(client: Client, agent: AgentProcess) -> None:
    await write(client, "f", b"old")
    async with client.files.WriteFile.open() as stream:
        await stream.send_message(pb.WriteFileRequest(path=b"f", data=b"half" * 10_000))
        # It has begun: an answer to another call comes after it.
        await client.files.StatFile(pb.StatFileRequest(path=b"f"))
        agent.kill()
        stream._cancel_done = True
    assert (agent.workspace / "f").read_bytes() == b"old"


async def test_writing_through_a_link_keeps_the_link(client: Client, agent: AgentProcess) -> None:
    (agent.workspace / "real").write_bytes(b"old")
    (agent.workspace / "link").symlink_to("real")
    await write(client, "link", b"new")
    assert (agent.workspace / "link").is_symlink()
    assert (agent.workspace / "real").read_bytes() == b"new"
    info = (await client.files.StatFile(pb.StatFileRequest(path=b"link"))).file
    assert (info.kind, info.link_target) == (pb.FILE_KIND_SYMLINK, b"real")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"missing/f", "NOT_FOUND"),
        (b"folder", "FAILED_PRECONDITION"),
        (b"file/f", "FAILED_PRECONDITION"),
        (b"loop", "FAILED_PRECONDITION"),
        (b"n" * 256, "INVALID_ARGUMENT"),
        (b"zero\0byte", "INVALID_ARGUMENT"),
        (b"/proc/f", "PERMISSION_DENIED"),
    ],
)
async def test_a_place_that_cannot_be_written_is_told(
    client: Client, agent: AgentProcess, path: bytes, status: str
) -> None:
    (agent.workspace / "folder").mkdir()
    (agent.workspace / "file").touch()
    (agent.workspace / "loop").symlink_to("loop")
    before = names(agent.workspace)
    assert (await refused(write(client, path, b"x")))[0] == status
    assert names(agent.workspace) == before


async def test_what_is_no_file_is_not_read_and_blocks_nobody(client: Client, agent: AgentProcess) -> None:
    os.mkfifo(agent.workspace / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(agent.workspace / "sock"))
    for path in (b"fifo", b"sock", b"."):
        status, _ = await refused(read(client, path))
        assert status not in ("OK", "UNKNOWN"), path
    assert (await client.files.StatFile(pb.StatFileRequest(path=b"fifo"))).file.kind == pb.FILE_KIND_OTHER


async def test_a_big_folder_is_listed_whole_and_links_are_not_followed(client: Client, agent: AgentProcess) -> None:
    many = agent.workspace / "d" / "many"
    many.mkdir(parents=True)
    for number in range(BATCH + 10):
        (many / str(number)).touch()
    (agent.workspace / "d" / "up").symlink_to("..")
    answers = await client.files.ListFiles(pb.ListFilesRequest(path=b"d", recursive=True))
    assert all(len(answer.files) <= BATCH for answer in answers)
    paths = [file.path for answer in answers for file in answer.files]
    assert sorted(paths) == sorted([b"d/many", b"d/up", *(b"d/many/%d" % number for number in range(BATCH + 10))])


async def test_removing_a_link_to_a_folder_removes_the_link_alone(client: Client, agent: AgentProcess) -> None:
    (agent.workspace / "keep").mkdir()
    (agent.workspace / "keep" / "f").touch()
    (agent.workspace / "tree").mkdir()
    for link in ("link", "tree/link"):
        (agent.workspace / link).symlink_to(agent.workspace / "keep")
    status, _ = await refused(client.files.RemoveFile(pb.RemoveFileRequest(path=b"tree")))
    assert status == "FAILED_PRECONDITION"
    for path in (b"link", b"tree"):
        await client.files.RemoveFile(pb.RemoveFileRequest(path=path, recursive=True))
    assert names(agent.workspace) == ["keep"]
    assert names(agent.workspace / "keep") == ["f"]


async def test_a_folder_travels_as_an_archive(client: Client, agent: AgentProcess) -> None:
    source = agent.workspace / "s"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "run").write_bytes(os.urandom(700_000))
    (source / "sub" / "run").chmod(0o755)
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9")).touch()
    (source / "link").symlink_to("sub/run")
    os.link(source / "sub" / "run", source / "hard")
    data = await archive(client, b"s")
    assert await extract(client, b"t", data, hashlib.sha256(data).digest()) == 6
    made = agent.workspace / "t"
    assert sorted(os.listdir(os.fsencode(made))) == [b"caf\xe9", b"hard", b"link", b"sub"]
    assert (made / "sub" / "run").read_bytes() == (source / "sub" / "run").read_bytes()
    assert (made / "sub" / "run").stat().st_mode & 0o777 == 0o755
    assert os.readlink(made / "link") == "sub/run"
    assert (made / "hard").samefile(made / "sub" / "run")


async def test_of_an_archive_only_what_was_named_and_is_there(client: Client, agent: AgentProcess) -> None:
    (agent.workspace / "a").write_text("a")
    (agent.workspace / "b").write_text("b")
    data = await archive(client, b".", b"a", b"missing")
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        assert file.getnames() == ["a"]


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ([("../out", b"x")], "INVALID_ARGUMENT"),
        ([(OUT, b"x")], "INVALID_ARGUMENT"),
        ([("a/../../out", b"x")], "INVALID_ARGUMENT"),
        ([special("null", tarfile.CHRTYPE)], "INVALID_ARGUMENT"),
        ([special("disk", tarfile.BLKTYPE)], "INVALID_ARGUMENT"),
        ([special("way", tarfile.SYMTYPE, ".."), ("way/out", b"x")], "INVALID_ARGUMENT"),
        ([special("way", tarfile.SYMTYPE, "/"), ("way" + OUT, b"x")], "INVALID_ARGUMENT"),
        (
            [special("in", tarfile.DIRTYPE), special("in/way", tarfile.SYMTYPE, "../.."), ("in/way/out", b"x")],
            "INVALID_ARGUMENT",
        ),
        ([special("mine", tarfile.LNKTYPE, "../precious"), ("mine", b"x")], "INVALID_ARGUMENT"),
        ([special("mine", tarfile.SYMTYPE, "../precious"), ("mine", b"x")], ""),
    ],
)
async def test_an_archive_writes_nothing_outside_its_folder(
    client: Client, agent: AgentProcess, members: Sequence[Any], status: str
) -> None:
    (agent.workspace / "precious").write_text("mine")
    call = extract(client, b"in", tar(*members))
    if status:
        assert (await refused(call))[0] == status
    else:
        await call
    assert names(agent.workspace) == ["in", "precious"]
    assert (agent.workspace / "precious").read_text() == "mine"
    assert not os.path.exists(OUT)


async def test_an_archive_that_is_damaged_or_none_is_told(client: Client, agent: AgentProcess) -> None:
    data = tar(("f", b"x" * 300_000))
    status, message = await refused(extract(client, b"t", os.urandom(300_000)))
    assert (status, "not a tar archive" in message) == ("INVALID_ARGUMENT", True)
    assert (await refused(extract(client, b"t", data[:100_000])))[0] in ("INVALID_ARGUMENT", "DATA_LOSS")
    assert (await refused(extract(client, b"t", data, b"other")))[0] == "DATA_LOSS"
    assert await extract(client, b"t", data) == 1
    assert (await refused(archive(client, b"missing")))[0] == "NOT_FOUND"


async def test_a_caller_that_leaves_a_long_archive_frees_the_agent(client: Client, agent: AgentProcess) -> None:
    (agent.workspace / "big").write_bytes(bytes(20 << 20))
    for _ in range(40):
        async with client.files.ArchiveFiles.open() as stream:
            await stream.send_message(pb.ArchiveFilesRequest(root=b"."), end=True)
            await stream.recv_message()
            await stream.cancel()
    assert len(await archive(client, b".", b"missing")) > 0
    threads = len(os.listdir(f"/proc/{agent.pid}/task"))
    assert threads < 60


async def test_a_refusal_carries_our_code(client: Client) -> None:
    stream = client.files.StatFile.open()
    with pytest.raises(GRPCError, match="nothing"):
        async with stream:
            await stream.send_message(pb.StatFileRequest(path=b"nothing"), end=True)
            await stream.recv_message()
    assert stream.trailing_metadata is not None
    assert stream.trailing_metadata[CODE_KEY] == "not_found"
