"""Files of a task's sandbox, one at a time: over cuts, restarts and moves, complete or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, BinaryIO, TypeVar

import grpc

from rc_client.channel import PROTOCOL_METADATA, streaming, translated
from rc_client.client import DaemonClient
from rc_client.parts import local, part_name, receiving
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import FileInfo, FileKind
from rc_protos.v1 import file_pb2 as pb

T = TypeVar("T")

CHUNK = 256 << 10
# How long a transfer waits, without a byte, for what is away.
PATIENCE = 120.0
PAUSE, LONGEST_PAUSE = 0.05, 1.0
CALL_SECONDS = 60.0
# What is smaller is sent anew after a cut, and leaves no part behind.
PART_LEAST = 4 << 20
# A file that changes under every attempt is given up.
ATTEMPTS = 3

_KINDS = {
    pb.FILE_KIND_FILE: FileKind.FILE,
    pb.FILE_KIND_DIRECTORY: FileKind.DIRECTORY,
    pb.FILE_KIND_SYMLINK: FileKind.SYMLINK,
}


class Patience:
    """Waits between attempts, for so long as there is hope."""

    def __init__(self, client: DaemonClient) -> None:
        self._client = client
        self.progress()

    def progress(self) -> None:
        """Something has come through."""
        self._pause, self._away = PAUSE, 0.0

    async def after(self, error: RemoteClaudeError) -> None:
        """Wait for the next attempt; raises the error if there is to be none."""
        if error.code is not ErrorCode.UNAVAILABLE or self._away > PATIENCE:
            raise error
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        self._away += self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await self._client.revive(self._away)


class TaskFiles:
    """The files of whatever sandbox a task has; `moved(bytes)` hears of what has come through."""

    def __init__(
        self,
        client: DaemonClient,
        task: str,
        *,
        outside: bool = False,
        moved: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`outside`: paths may leave the workspace."""
        self.client, self.task, self.outside, self.moved = client, task, outside, moved
        self.calls = client.files

    async def stat(self, path: bytes, *, follow: bool = False) -> FileInfo:
        """One file; `follow`: of a link the file to which it leads."""
        return await self._stat(pb.StatFileRequest(path=path, outside=self.outside, follow=follow))

    async def listing(
        self, path: bytes, *, recursive: bool = False, pattern: bytes = b""
    ) -> AsyncIterator[list[FileInfo]]:
        """What is in a folder, in batches as they come."""
        request = pb.ListFilesRequest(path=path, recursive=recursive, pattern=pattern, outside=self.outside)
        with streaming(self.calls.ListFiles(request, metadata=await self.route())) as answers:
            async for answer in answers:
                yield [_info(each) for each in answer.files]

    async def tree(self, path: bytes) -> list[FileInfo]:
        """Everything below a folder."""

        async def whole() -> list[FileInfo]:
            return [each async for batch in self.listing(path, recursive=True) for each in batch]

        return await self.healing(whole)

    async def read(self, path: bytes, *, offset: int = 0, digest: Any = None) -> AsyncIterator[bytes]:
        """A file's bytes; `digest`: a sha256 fed with those before the offset.

        Raises data_loss at the end of a file that has changed meanwhile.
        """
        digest = digest or hashlib.sha256()
        patience = Patience(self.client)
        while True:
            request = pb.ReadFileRequest(path=path, offset=offset, whole=True, outside=self.outside)
            try:
                with streaming(self.calls.ReadFile(request, metadata=await self.route())) as answers:
                    async for answer in answers:
                        if answer.data:
                            patience.progress()
                            offset += len(answer.data)
                            digest.update(answer.data)
                            self.moved(len(answer.data))
                            yield answer.data
                        if answer.sha256:
                            _check(path, answer.sha256, digest.digest())
                            return
            except RemoteClaudeError as error:
                await patience.after(error)

    async def download(self, path: bytes, target: str) -> None:
        """Copy a file to this machine; what a cut or an interrupted rc has left is gone on with."""
        info = await self.stat(path, follow=True)
        with receiving(target, self.task, path) as file:
            for left in reversed(range(ATTEMPTS)):
                digest = hashlib.sha256()
                offset = await asyncio.to_thread(_feed, file, digest)
                self.moved(offset)
                try:
                    async for data in self.read(path, offset=offset, digest=digest):
                        await asyncio.to_thread(file.write, data)
                except RemoteClaudeError as error:
                    if error.code is not ErrorCode.DATA_LOSS or not left:
                        raise
                    self.moved(-file.tell())
                    file.seek(0)
                    file.truncate()
                    continue
                os.fchmod(file.fileno(), info.mode & 0o777)
                return

    async def upload(self, source: str, path: bytes, **fields: Any) -> None:
        """Copy a file of this machine into the sandbox; `fields`: of WriteFileRequest."""
        with local(source):
            file = await asyncio.to_thread(open, source, "rb")
            with file:
                await self._upload(file, part_name(source, self.task, path), path, fields)

    async def _upload(self, file: BinaryIO, part: bytes, path: bytes, fields: dict[str, Any]) -> None:
        size = os.fstat(file.fileno()).st_size
        part = part if size >= PART_LEAST else b""
        patience, left, offset, sent = Patience(self.client), ATTEMPTS, 0, 0
        while True:
            # What was counted in an attempt that is over.
            self.moved(-sent)
            sent = 0
            try:
                offset = min(size, await self._come(path, part)) if part else 0
                head = pb.WriteFileRequest(path=path, outside=self.outside, part=part, offset=offset, **fields)
                digest = hashlib.sha256()
                await asyncio.to_thread(_feed, file, digest, offset)

                def count(more: int) -> None:
                    nonlocal sent
                    sent += more
                    self.moved(more)

                count(offset)
                await self._send(head, file, digest, count)
                return
            except RemoteClaudeError as error:
                if error.code is ErrorCode.DATA_LOSS and left > 1:
                    # The part was of another file: it is gone now.
                    left -= 1
                    continue
                if sent > offset:
                    patience.progress()
                await patience.after(error)

    async def watch(self, path: bytes, *, poll: bool = False) -> AsyncIterator[tuple[bytes, str]]:
        """(path, "changed" or "removed") as it happens; ("", "missed") when it is to be looked at anew.

        The first item is ("", "watching").
        """
        patience, word = Patience(self.client), "watching"
        while True:
            request = pb.WatchFilesRequest(path=path, outside=self.outside, poll=poll)
            try:
                with streaming(self.calls.WatchFiles(request, metadata=await self.route())) as answers:
                    async for answer in answers:
                        patience.progress()
                        if not answer.changes:
                            yield b"", "missed" if answer.missed else word
                            word = "missed"
                        for each in answer.changes:
                            yield each.path, "removed" if each.removed else "changed"
                return
            except RemoteClaudeError as error:
                await patience.after(error)

    async def healing(self, work: Callable[[], Awaitable[T]]) -> T:
        """Work that may be done again, done over cuts."""
        patience = Patience(self.client)
        while True:
            try:
                return await work()
            except RemoteClaudeError as error:
                await patience.after(error)

    async def route(self) -> tuple[tuple[str, str], ...]:
        """Metadata that leads to the sandbox which the task has now."""
        task = await self.client.get_task(self.task)
        if not task.sandbox_id:
            raise errors.precondition(f"{task.name} has no sandbox yet", f"see: rc show {task.name}")
        return (*PROTOCOL_METADATA, ("rc-sandbox", task.sandbox_id))

    async def write_all(self, call: Any, requests: AsyncIterator[Any]) -> Any:
        """Send requests and wait for the one answer; a call that is refused in between says why."""
        try:
            async for request in requests:
                await call.write(request)
            await call.done_writing()
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            # It has ended; the answer tells the reason.
            pass
        except BaseException:
            call.cancel()
            raise
        with translated():
            return await call

    async def _stat(self, request: pb.StatFileRequest) -> FileInfo:
        async def once() -> FileInfo:
            metadata = await self.route()
            with translated():
                answer = await self.calls.StatFile(request, metadata=metadata, timeout=CALL_SECONDS)
            return _info(answer.file)

        return await self.healing(once)

    async def _come(self, path: bytes, part: bytes) -> int:
        try:
            return (await self._stat(pb.StatFileRequest(path=path, outside=self.outside, part=part))).size
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise
            return 0

    async def _send(self, head: pb.WriteFileRequest, file: BinaryIO, digest: Any, count: Callable[[int], None]) -> None:
        async def requests() -> AsyncIterator[pb.WriteFileRequest]:
            yield head
            while data := await asyncio.to_thread(file.read, CHUNK):
                digest.update(data)
                yield pb.WriteFileRequest(data=data)
                count(len(data))
            yield pb.WriteFileRequest(sha256=digest.digest())

        await self.write_all(self.calls.WriteFile(metadata=await self.route()), requests())


def _info(file: pb.FileInfo) -> FileInfo:
    modified = file.modified_at.seconds + file.modified_at.nanos / 1e9
    kind = _KINDS.get(file.kind, FileKind.OTHER)
    return FileInfo(file.path, kind, file.size, file.mode, modified, file.link_target)


def _feed(file: BinaryIO, digest: Any, most: int = -1) -> int:
    """Feed a digest with a file from its beginning; how much that was."""
    file.seek(0)
    fed = 0
    while data := file.read(CHUNK if most < 0 else min(CHUNK, most - fed)):
        digest.update(data)
        fed += len(data)
    return fed


def _check(path: bytes, said: bytes, found: bytes) -> None:
    if said != found:
        raise RemoteClaudeError(f"{os.fsdecode(path)} changed while it was read", "try again", code=ErrorCode.DATA_LOSS)
