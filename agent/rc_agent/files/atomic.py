"""Writing a file in one step: beside its place, checked, synced, renamed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat

from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError

# What is being written: nobody else's business, and not told to who watches.
PREFIX = b".rc-"
_PIECE = 1 << 20


def part_place(path: bytes, part: bytes) -> bytes:
    """Where what has come of a file is kept under the name `part`."""
    if not part.startswith(PREFIX) or b"/" in part or b"\0" in part:
        raise errors.usage(f"{os.fsdecode(part)!r} is no name of a part", f"it begins with {PREFIX.decode()}")
    # A link to a file stays a link.
    return os.path.join(os.path.dirname(os.path.realpath(path)), part)


class AtomicFile:
    """A file being written; nothing is seen of it before `commit`.

    With `part`, what has come stays when it is not committed, and `offset` bytes of what is there are gone on from.
    """

    def __init__(self, path: bytes, mode: int, *, make_parents: bool, part: bytes = b"", offset: int = 0) -> None:
        self.path = os.path.realpath(path)
        if make_parents:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._mode = mode or _present_mode(self.path)
        self._hash = hashlib.sha256()
        self._kept = bool(part)
        self._temporary: bytes | None = part_place(path, part or PREFIX + secrets.token_hex(8).encode())
        fresh = 0 if part else os.O_EXCL
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | fresh
        self._fd = os.open(self._temporary, flags, 0o600)
        try:
            self._begin(offset)
        except BaseException:
            self.abort()
            raise

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def commit(self, sha256: bytes, if_sha256: bytes = b"") -> bytes:
        """Check against the digests, those there are, and put the file in its place; return its digest."""
        digest = self._hash.digest()
        if sha256 and sha256 != digest:
            self._kept = False
            raise RemoteClaudeError("the file did not arrive whole: its sha256 differs", code=ErrorCode.DATA_LOSS)
        assert self._temporary is not None
        os.fchmod(self._fd, self._mode)
        os.fsync(self._fd)
        # Ours is there already when the answer to an earlier call was lost.
        if if_sha256 and _digest(self.path) not in (if_sha256, digest):
            self._kept = False
            raise errors.conflict(f"{os.fsdecode(self.path)} has changed meanwhile; it was left as it is")
        os.rename(self._temporary, self.path)
        self._temporary = None
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return digest

    def abort(self) -> None:
        """Close; what was not committed goes, unless it is a part to go on with."""
        if self._temporary is not None and not self._kept:
            os.unlink(self._temporary)
        self._temporary = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self, offset: int) -> None:
        if os.path.isdir(self.path):
            self._kept = False
            raise IsADirectoryError(21, os.strerror(21), self.path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A call that was cut, and does not know it yet.
            raise errors.unavailable(f"{os.fsdecode(self.path)} is being written by another call") from None
        os.ftruncate(self._fd, min(offset, os.fstat(self._fd).st_size))
        while data := os.read(self._fd, _PIECE):
            self._hash.update(data)
        if os.lseek(self._fd, 0, os.SEEK_CUR) != offset:
            raise errors.precondition(f"of {os.fsdecode(self.path)} less than {offset} bytes have come")


def _digest(path: bytes) -> bytes:
    """Of what a file holds by now; one that is not there holds nothing."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(_PIECE):
                digest.update(data)
    except FileNotFoundError:
        pass
    return digest.digest()


def _present_mode(path: bytes) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o644
