"""Folders to and from a task's sandbox: small files in archives, big ones one by one; a cut costs one of these."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rc_client.channel import streaming
from rc_client.files import CHUNK, TaskFiles
from rc_client.parts import local
from rc_protos import archive
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import FileKind
from rc_protos.v1 import file_pb2 as pb

# What is bigger travels by itself.
BIG = 4 << 20
# The most of one archive: what a cut costs.
MOST_BYTES, MOST_FILES = 32 << 20, 2000
# A sandbox shall not set user ids on this machine.
MODES = 0o777


@dataclass(frozen=True)
class Entry:
    """A file of a tree; `name` is its path below the top."""

    name: bytes
    kind: FileKind
    size: int
    mode: int


async def download_tree(files: TaskFiles, path: bytes, target: str) -> list[bytes]:
    """Copy a folder to this machine; the names of what is no file, folder or link, and was left out."""
    above = len(os.path.join(path, b""))
    entries = [Entry(each.path[above:], each.kind, each.size, each.mode) for each in await files.tree(path)]

    async def one(entry: Entry) -> None:
        with local(target):
            place = archive.inside(target, os.fsdecode(entry.name))
            os.makedirs(os.path.dirname(place), exist_ok=True)
        await files.download(os.path.join(path, entry.name), place)

    async def many(batch: Sequence[Entry]) -> None:
        await files.healing(partial(_fetch, files, path, [each.name for each in batch], target))
        files.moved(sum(each.size for each in batch))

    with local(target):
        os.makedirs(target, exist_ok=True)
    return await _copy(entries, one, many)


async def upload_tree(files: TaskFiles, source: str, path: bytes) -> list[bytes]:
    """Copy a folder of this machine into the sandbox; the names of what was left out, as above."""
    with local(source):
        entries = await asyncio.to_thread(lambda: list(local_tree(os.fsencode(source))))

    async def one(entry: Entry) -> None:
        name = os.path.join(source, os.fsdecode(entry.name))
        await files.upload(name, os.path.join(path, entry.name), mode=entry.mode, make_parents=True)

    async def many(batch: Sequence[Entry]) -> None:
        await files.healing(partial(_put, files, source, [each.name for each in batch], path))
        files.moved(sum(each.size for each in batch))

    if not entries:
        await many([])
    return await _copy(entries, one, many)


def local_tree(top: bytes, below: bytes = b"") -> Iterator[Entry]:
    """Everything below a folder of this machine; links are not followed."""
    with os.scandir(os.path.join(top, below)) as found:
        entries = list(found)
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        name = os.path.join(below, entry.name)
        yield Entry(name, _kind(status.st_mode), status.st_size, stat.S_IMODE(status.st_mode))
        if stat.S_ISDIR(status.st_mode):
            yield from local_tree(top, name)


async def _copy(
    entries: Sequence[Entry],
    one: Callable[[Entry], Coroutine[Any, Any, None]],
    many: Callable[[Sequence[Entry]], Coroutine[Any, Any, None]],
) -> list[bytes]:
    """Files and links first; then the folders, the deepest first: writing into one changes its time."""
    plain = [each for each in entries if each.kind in (FileKind.FILE, FileKind.SYMLINK)]
    big = [each for each in plain if each.kind is FileKind.FILE and each.size > BIG]
    folders = [each for each in entries if each.kind is FileKind.DIRECTORY]
    for batch in _batches([each for each in plain if each.size <= BIG]):
        await many(batch)
    for entry in big:
        await one(entry)
    for batch in _batches(sorted(folders, key=lambda each: each.name.count(b"/"), reverse=True)):
        await many(batch)
    return [each.name for each in entries if each.kind is FileKind.OTHER]


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    held = 0
    for entry in entries:
        batch.append(entry)
        held += entry.size if entry.kind is FileKind.FILE else 0
        if held > MOST_BYTES or len(batch) == MOST_FILES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


async def _fetch(files: TaskFiles, path: bytes, names: Sequence[bytes], target: str) -> None:
    """One archive from the sandbox, unpacked on a thread at the other end of a pipe."""
    request = pb.ArchiveFilesRequest(root=path, paths=names, shallow=True, outside=files.outside)
    metadata = await files.route()
    source, sink = os.pipe()
    unpack = partial(archive.unpack, os.fsencode(target), source, modes=MODES)
    unpacking = asyncio.get_running_loop().run_in_executor(None, unpack)
    digest, said = hashlib.sha256(), b""
    try:
        with streaming(files.calls.ArchiveFiles(request, metadata=metadata)) as answers:
            async for answer in answers:
                digest.update(answer.data)
                said = answer.sha256 or said
                await asyncio.to_thread(_write_all, sink, answer.data)
    except BrokenPipeError:
        # The unpacking has failed and tells why.
        pass
    finally:
        os.close(sink)
        await _over(unpacking)
    with local(target):
        unpacking.result()
    if said != digest.digest():
        raise RemoteClaudeError("an archive did not arrive whole: its sha256 differs", code=ErrorCode.DATA_LOSS)


async def _put(files: TaskFiles, source: str, names: Sequence[bytes], path: bytes) -> None:
    """One archive into the sandbox, packed on a thread at the other end of a pipe."""
    metadata = await files.route()
    output, sink = os.pipe()
    # Without names it would be everything.
    pack = partial(archive.pack, os.fsencode(source), names or [b"."], sink, shallow=True)
    packing = asyncio.get_running_loop().run_in_executor(None, pack)

    async def requests() -> AsyncIterator[pb.ExtractFilesRequest]:
        digest = hashlib.sha256()
        yield pb.ExtractFilesRequest(root=path, outside=files.outside)
        while data := await asyncio.to_thread(os.read, output, CHUNK):
            digest.update(data)
            yield pb.ExtractFilesRequest(data=data)
        with local(source):
            await packing
        yield pb.ExtractFilesRequest(sha256=digest.digest())

    try:
        await files.write_all(files.calls.ExtractFiles(metadata=metadata), requests())
    finally:
        # Ends the packing thread too, by a broken pipe.
        os.close(output)
        await _over(packing)


async def _over(thread: asyncio.Future[Any]) -> None:
    """Wait for a thread; who needs its outcome asks for it."""
    await asyncio.wait([thread])
    if not thread.cancelled():
        thread.exception()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.DIRECTORY
    return FileKind.SYMLINK if stat.S_ISLNK(mode) else FileKind.OTHER
