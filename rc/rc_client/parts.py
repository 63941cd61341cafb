"""What has come of a file that is on its way: kept beside its place, to go on with after a cut."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rc_protos.errors import ErrorCode, RemoteClaudeError, precondition


def part_name(source: str, task: str, path: bytes) -> bytes:
    """The same for the same transfer, so that a later rc finds it."""
    words = b"\0".join([os.fsencode(os.path.abspath(source)), task.encode(), path])
    return b".rc-part-" + hashlib.sha256(words).hexdigest()[:16].encode()


@contextmanager
def receiving(target: str, task: str, path: bytes) -> Iterator[BinaryIO]:
    """A file to be filled that takes its place when the block has ended well, and stays as a part when it was cut."""
    folder = os.path.dirname(os.path.abspath(target))
    part = os.path.join(folder, os.fsdecode(part_name(target, task, path)))
    with local(target):
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise precondition(f"another rc is at {target}", "wait for it") from None
            try:
                with local(target):
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(part, target)
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    # Nothing to go on with.
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(part)
                raise


@contextmanager
def local(what: str) -> Iterator[None]:
    """Failures of this machine's files in the block are told as errors."""
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else what
        raise precondition(f"{name}: {error.strerror or error}", "this is a file of this machine") from error
