"""Short commands and files inside a sandbox, over its link: git runs here and never on the host's side of the wall."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rc_daemon.links import SandboxLink
from rc_daemon.links.calls import opened, streaming, unary
from rc_protos import errors, ids
from rc_protos.errors import RemoteClaudeError
from rc_protos.v1 import file_pb2
from rc_protos.v1 import session_pb2 as pb

SCRIPT_SECONDS = 300.0
CLOSE_SECONDS = 5.0
CHUNK = 256 << 10
OUTPUT_MOST = 4 << 20
WHY_MOST = 300


@dataclass(frozen=True)
class Result:
    """How a script ended."""

    code: int
    out: str
    err: str

    @property
    def why(self) -> str:
        """Its last words; the sandbox's, so neither long nor with anything in it that moves a cursor."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        words = lines[-1][:WHY_MOST] if lines else f"exit code {self.code}"
        return "".join(each if each.isprintable() else "\ufffd" for each in words)


async def script(link: SandboxLink, text: str, environment: Mapping[str, str], *, name: str) -> Result:
    """Run a POSIX shell script in the sandbox to its end; raises unavailable when the link is cut meanwhile."""
    session_id = ids.new_id()
    request = pb.OpenSessionRequest(
        session_id=session_id,
        name=name,
        kind="system",
        argv=[b"/bin/sh", b"-c", text.encode()],
        environment={key: os.fsencode(value) for key, value in environment.items()},
        stdin_closed=True,
    )
    await unary(link.sessions.OpenSession, request)
    try:
        async with asyncio.timeout(SCRIPT_SECONDS):
            return await _outcome(link, session_id, name)
    except TimeoutError:
        raise errors.timeout(f"{name} took longer than {SCRIPT_SECONDS:.0f} s") from None
    finally:
        # A cut link has a task look again, and the script with it.
        with contextlib.suppress(RemoteClaudeError):
            close = pb.CloseSessionRequest(session_id=session_id)
            await unary(link.sessions.CloseSession, close, timeout=CLOSE_SECONDS)


async def _outcome(link: SandboxLink, session_id: str, name: str) -> Result:
    found = {pb.STREAM_OUT: b"", pb.STREAM_ERR: b""}
    async for item in streaming(link.sessions.AttachSession, pb.AttachSessionRequest(session_id=session_id)):
        if item.WhichOneof("item") == "data" and len(found[item.data.stream]) < OUTPUT_MOST:
            found[item.data.stream] += item.data.data
        elif item.WhichOneof("item") == "exit":
            if item.exit.lost:
                raise errors.unavailable(f"{name}: {item.exit.lost}")
            out, err = (found[each].decode("utf-8", "replace") for each in (pb.STREAM_OUT, pb.STREAM_ERR))
            return Result(item.exit.code, out, err)
    raise errors.unavailable(f"{name}: its end is not known")


async def fetch_file(link: SandboxLink, path: str, target: Path) -> None:
    """Copy a file of the sandbox to the host: complete and verified, or not at all."""
    request = file_pb2.ReadFileRequest(path=os.fsencode(path), outside=True)
    await _receive(streaming(link.files.ReadFile, request), target)


async def fetch_archive(link: SandboxLink, root: str, paths: tuple[str, ...], target: Path) -> str:
    """Copy files and folders as a tar; the digest of it."""
    names = [os.fsencode(path) for path in paths]
    request = file_pb2.ArchiveFilesRequest(root=os.fsencode(root), paths=names, outside=True)
    return await _receive(streaming(link.files.ArchiveFiles, request), target)


async def put_file(link: SandboxLink, source: Path, path: str) -> None:
    """Copy a file of the host into the sandbox."""
    digest = hashlib.sha256()
    async with opened(link.files.WriteFile.open()) as stream:
        with source.open("rb") as file:
            head = file_pb2.WriteFileRequest(path=os.fsencode(path), mode=0o600, make_parents=True, outside=True)
            await stream.send_message(head)
            while data := await asyncio.to_thread(file.read, CHUNK):
                digest.update(data)
                await stream.send_message(file_pb2.WriteFileRequest(data=data))
            await stream.send_message(file_pb2.WriteFileRequest(sha256=digest.digest()), end=True)
            await stream.recv_message()
            await stream.recv_trailing_metadata()


async def put_archive(link: SandboxLink, source: Path, root: str) -> None:
    """Unpack a tar of the host into a folder of the sandbox."""
    digest = hashlib.sha256()
    async with opened(link.files.ExtractFiles.open()) as stream:
        with source.open("rb") as file:
            await stream.send_message(file_pb2.ExtractFilesRequest(root=os.fsencode(root), outside=True))
            while data := await asyncio.to_thread(file.read, CHUNK):
                digest.update(data)
                await stream.send_message(file_pb2.ExtractFilesRequest(data=data))
            await stream.send_message(file_pb2.ExtractFilesRequest(sha256=digest.digest()), end=True)
            await stream.recv_message()
            await stream.recv_trailing_metadata()


async def _receive(parts: object, target: Path) -> str:
    """Write chunks to a temporary file beside the target, compare the digest, sync, rename."""
    digest, said = hashlib.sha256(), b""
    temporary = target.with_name(f".{target.name}.{ids.new_id()}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            async for part in parts:  # type: ignore[attr-defined]
                digest.update(part.data)
                await asyncio.to_thread(file.write, part.data)
                said = part.sha256 or said
            if said != digest.digest():
                raise errors.unavailable(f"{target.name} did not arrive whole: its sha256 differs")
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise errors.exhausted(f"{target} cannot be written: {error.strerror}", "run: rc gc") from error
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()
    return digest.hexdigest()
