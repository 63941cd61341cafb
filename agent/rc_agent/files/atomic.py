"""Writing a file in one step: beside its place, checked, synced, renamed."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat

from rc_protos.errors import ErrorCode, RemoteClaudeError


class AtomicFile:
    """A file being written; nothing is seen of it before `commit`."""

    def __init__(self, path: bytes, mode: int, *, make_parents: bool) -> None:
        # A link to a file stays a link.
        self.path = os.path.realpath(path)
        folder = os.path.dirname(self.path)
        if make_parents:
            os.makedirs(folder, exist_ok=True)
        self._mode = mode or _present_mode(self.path)
        self._hash = hashlib.sha256()
        self._temporary: bytes | None = os.path.join(folder, b".rc-%s" % secrets.token_hex(8).encode())
        self._fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if os.path.isdir(self.path):
            self.abort()
            raise IsADirectoryError(21, os.strerror(21), path)

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def commit(self, sha256: bytes) -> bytes:
        """Check against the digest, if there is one, and put the file in its place; return the digest."""
        digest = self._hash.digest()
        if sha256 and sha256 != digest:
            raise RemoteClaudeError("the file did not arrive whole: its sha256 differs", code=ErrorCode.DATA_LOSS)
        assert self._temporary is not None
        os.fchmod(self._fd, self._mode)
        os.fsync(self._fd)
        os.rename(self._temporary, self.path)
        self._temporary = None
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return digest

    def abort(self) -> None:
        """Close, and leave no trace if it was not committed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None


def _present_mode(path: bytes) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o644
