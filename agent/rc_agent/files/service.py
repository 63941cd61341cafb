"""FileService: files read, written, listed and packed; blocking work runs on threads."""

# ruff: noqa: N802 - methods are named by the proto
from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from contextlib import aclosing
from functools import partial
from typing import Any

from grpclib.server import Stream

from rc_agent.calls import received
from rc_agent.files.atomic import AtomicFile, part_place
from rc_agent.files.listing import batches
from rc_agent.files.paths import file_info, place
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import file_pb2 as pb
from rc_protos.v1.file_grpc import FileServiceBase

CHUNK = 256 << 10


class FileService(FileServiceBase):
    """Files of the sandbox as the agent's user sees them."""

    async def StatFile(self, stream: Stream[pb.StatFileRequest, pb.StatFileResponse]) -> None:
        """One file."""
        request = await received(stream)
        path = place(request.path, outside=request.outside, follow=request.follow or bool(request.part))
        if request.part:
            path = part_place(path, request.part)
        status = os.stat(path) if request.follow else os.lstat(path)
        await stream.send_message(pb.StatFileResponse(file=file_info(path, status, request.path)))

    async def ListFiles(self, stream: Stream[pb.ListFilesRequest, pb.ListFilesResponse]) -> None:
        """A folder, or everything below it; paths are shown below the path asked for."""
        request = await received(stream)
        folder = place(request.path, outside=request.outside)
        found = batches(folder, request.path, recursive=request.recursive, pattern=request.pattern)
        while (files := await asyncio.to_thread(next, found, None)) is not None:
            await stream.send_message(pb.ListFilesResponse(files=files))

    async def ReadFile(self, stream: Stream[pb.ReadFileRequest, pb.ReadFileResponse]) -> None:
        """A file's bytes, the digest of what was sent in the last message."""
        request = await received(stream)
        path = place(request.path, outside=request.outside)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            await self._read(stream, fd, request)
        finally:
            os.close(fd)

    async def WriteFile(self, stream: Stream[pb.WriteFileRequest, pb.WriteFileResponse]) -> None:
        """A file in one step."""
        first = await received(stream)
        path = place(first.path, outside=first.outside)
        file = await asyncio.to_thread(
            AtomicFile,
            path,
            first.mode & 0o7777,
            make_parents=first.make_parents,
            part=first.part,
            offset=first.offset,
        )
        try:
            await asyncio.to_thread(file.write, first.data)
            sha256 = first.sha256
            async for request in stream:
                await asyncio.to_thread(file.write, request.data)
                sha256 = request.sha256 or sha256
            digest = await asyncio.to_thread(file.commit, sha256, first.if_sha256)
        finally:
            file.abort()
        info = file_info(file.path, os.lstat(file.path), first.path)
        await stream.send_message(pb.WriteFileResponse(file=info, sha256=digest))

    async def RemoveFile(self, stream: Stream[pb.RemoveFileRequest, pb.RemoveFileResponse]) -> None:
        """Remove a file, an empty folder, or with `recursive` a whole one."""
        request = await received(stream)
        path = place(request.path, outside=request.outside, follow=False)
        await asyncio.to_thread(_remove, path, recursive=request.recursive)
        await stream.send_message(pb.RemoveFileResponse())

    async def ArchiveFiles(self, stream: Stream[pb.ArchiveFilesRequest, pb.ArchiveFilesResponse]) -> None:
        """A tar stream, its digest in the last message."""
        from rc_protos import archive

        request = await received(stream)
        root = place(request.root, outside=request.outside)
        os.lstat(root)
        for path in request.paths:
            place(os.path.join(root, path), outside=request.outside, follow=False)
        source, sink = os.pipe()
        pack = partial(archive.pack, root, list(request.paths), sink, shallow=request.shallow)
        packing = asyncio.get_running_loop().run_in_executor(None, pack)
        digest = hashlib.sha256()
        try:
            while data := await asyncio.to_thread(os.read, source, CHUNK):
                digest.update(data)
                await stream.send_message(pb.ArchiveFilesResponse(data=data))
            await packing
        finally:
            # Ends the packing thread too, by a broken pipe.
            os.close(source)
            packing.add_done_callback(_consume)
        await stream.send_message(pb.ArchiveFilesResponse(sha256=digest.digest()))

    async def ExtractFiles(self, stream: Stream[pb.ExtractFilesRequest, pb.ExtractFilesResponse]) -> None:
        """Unpack a tar stream below a folder."""
        from rc_protos import archive

        first = await received(stream)
        root = place(first.root, outside=first.outside)
        source, sink = os.pipe()
        unpacking = asyncio.get_running_loop().run_in_executor(None, archive.unpack, root, source)
        try:
            digest, expected = await _fill(stream, first, sink)
        finally:
            os.close(sink)
            unpacking.add_done_callback(_consume)
        count = await unpacking
        if expected and expected != digest:
            raise RemoteClaudeError("the archive did not arrive whole: its sha256 differs", code=ErrorCode.DATA_LOSS)
        await stream.send_message(pb.ExtractFilesResponse(files=count))

    async def WatchFiles(self, stream: Stream[pb.WatchFilesRequest, pb.WatchFilesResponse]) -> None:
        """Changes below a folder until the caller hangs up or the folder is gone."""
        from rc_agent.files.watch import watch

        request = await received(stream)
        folder = place(request.path, outside=request.outside)
        await asyncio.to_thread(os.listdir, folder)
        async with aclosing(watch(folder, request.path, poll=request.poll)) as answers:
            async for answer in answers:
                await stream.send_message(answer)

    async def _read(self, stream: Stream[Any, pb.ReadFileResponse], fd: int, request: pb.ReadFileRequest) -> None:
        offset, left = request.offset, request.length or -1
        digest = hashlib.sha256()
        if request.whole:
            await asyncio.to_thread(_hash_until, fd, offset, digest)
        while left != 0:
            want = CHUNK if left < 0 else min(CHUNK, left)
            data = await asyncio.to_thread(os.pread, fd, want, offset)
            if not data:
                break
            digest.update(data)
            await stream.send_message(pb.ReadFileResponse(data=data, offset=offset))
            offset += len(data)
            left -= len(data) if left > 0 else 0
        await stream.send_message(pb.ReadFileResponse(offset=offset, sha256=digest.digest()))


def _hash_until(fd: int, end: int, digest: Any) -> None:
    at = 0
    while at < end and (data := os.pread(fd, min(CHUNK, end - at), at)):
        digest.update(data)
        at += len(data)


async def _fill(
    stream: Stream[pb.ExtractFilesRequest, Any], first: pb.ExtractFilesRequest, sink: int
) -> tuple[bytes, bytes]:
    """Pass the archive's bytes on; return their digest and the expected one."""
    digest = hashlib.sha256()
    request: pb.ExtractFilesRequest | None = first
    expected = b""
    while request is not None:
        digest.update(request.data)
        expected = request.sha256 or expected
        try:
            await asyncio.to_thread(_write_all, sink, request.data)
        except BrokenPipeError:
            # The unpacking has failed and tells why.
            break
        request = await stream.recv_message()
    return digest.digest(), expected


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _remove(path: bytes, *, recursive: bool) -> None:
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
    elif recursive:
        shutil.rmtree(path)
    else:
        os.rmdir(path)


def _consume(done: asyncio.Future[Any]) -> None:
    """Take the outcome of a thread nobody waits for any more."""
    if not done.cancelled():
        done.exception()
