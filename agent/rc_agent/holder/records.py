"""What a holder leaves in its directory for those who come later: who runs, and how it ended."""

from __future__ import annotations

import os
import time

HOLDER_FILE = "holder.json"
EXIT_FILE = "exit.json"
_RESERVE = "exit.reserve"
_RECORD_SIZE = 512


def write_holder(pid: int, start: int) -> None:
    """Record the process by pid and start time before it runs anything, and reserve room for its exit record."""
    _write(_RESERVE, b" " * _RECORD_SIZE)
    line = f'{{"pid": {pid}, "start": {start}, "holder": {os.getpid()}, "started_at": {time.time():.6f}}}\n'
    _write(HOLDER_FILE + ".new", line.encode())
    os.rename(HOLDER_FILE + ".new", HOLDER_FILE)


def write_exit(code: int, signal: int, out_end: int, err_end: int) -> None:
    """Record the end durably; a full disk does not matter, its room was reserved."""
    fields = f'"code": {code}, "signal": {signal}, "out_end": {out_end}, "err_end": {err_end}, "lost": ""'
    line = f'{{{fields}, "ended_at": {time.time():.6f}}}'.encode().ljust(_RECORD_SIZE - 1) + b"\n"
    fd = os.open(_RESERVE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, line, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(_RESERVE, EXIT_FILE)


def _write(name: str, data: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) != len(data):
            raise OSError(28, os.strerror(28))
    finally:
        os.close(fd)
