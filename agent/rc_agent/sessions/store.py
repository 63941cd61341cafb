"""Session directories: what is known of each session, read from disk, so that an agent may come and go."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from typing import Any

from rc_agent import system, tree
from rc_agent.holder.records import EXIT_FILE, HOLDER_FILE
from rc_protos import errors
from rc_protos.stream.segments import find_segments, segment_path
from rc_protos.v1 import session_pb2 as pb

META_FILE = "meta.json"
LOCK = "lock"
HOLDER_LOST = "holder lost"
DEFAULT_CAP = 256 << 20
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Sessions:
    """All sessions of this sandbox, by their directories."""

    def __init__(self, root: str) -> None:
        self.root = root
        os.makedirs(root, mode=0o700, exist_ok=True)

    def directory(self, session_id: str) -> str:
        """Where a session with this id keeps its files; it may not exist."""
        if not _ID.fullmatch(session_id):
            raise errors.usage(f"{session_id!r} is not a session id")
        return f"{self.root}/{session_id}"

    def ids(self) -> list[str]:
        """Every session there is, oldest id first."""
        return sorted(name for name in os.listdir(self.root) if self.exists(name))

    def exists(self, session_id: str) -> bool:
        """Whether a process was ever started for this id."""
        directory = self.directory(session_id)
        return os.path.exists(f"{directory}/{HOLDER_FILE}") or os.path.exists(f"{directory}/{EXIT_FILE}")

    def existing(self, session_id: str) -> str:
        """The directory of a session; raises not_found."""
        directory = self.directory(session_id)
        if not self.exists(session_id):
            raise errors.not_found(f"there is no session {session_id} in this sandbox")
        return directory

    def prepare(self, request: pb.OpenSessionRequest) -> str:
        """Make the directory of a new session; nothing secret is written."""
        directory = self.directory(request.session_id)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        write_json(f"{directory}/{META_FILE}", _meta(request))
        return directory

    def discard(self, session_id: str) -> None:
        """Remove a session of which nothing runs."""
        shutil.rmtree(self.directory(session_id), ignore_errors=True)

    def forget_unstarted(self) -> None:
        """Remove directories whose holder never got to start a process; no start may be under way."""
        for name in os.listdir(self.root):
            if _ID.fullmatch(name) and not self.exists(name) and not self.held(name):
                self.discard(name)

    def held(self, session_id: str) -> bool:
        """Whether a holder lives: it has inherited a locked file."""
        try:
            fd = os.open(f"{self.directory(session_id)}/{LOCK}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def exit(self, session_id: str) -> dict[str, Any] | None:
        """How a session ended, or None while it runs; a holder that died without a word ends it here."""
        directory = self.existing(session_id)
        record = read_json(f"{directory}/{EXIT_FILE}")
        if record or self.held(session_id):
            return record
        # Between the two looks the holder may have written its record and gone.
        return read_json(f"{directory}/{EXIT_FILE}") or self._bury(session_id, directory)

    def _bury(self, session_id: str, directory: str) -> dict[str, Any]:
        holder = read_json(f"{directory}/{HOLDER_FILE}") or {}
        # Without isolation another sandbox's session may have the same id.
        marks = (b"RC_SESSION=" + session_id.encode(), b"RC_STATE=" + os.fsencode(os.path.dirname(self.root)))
        kill_leftovers(int(holder.get("pid", 0)), int(holder.get("start", 0)), marks)
        ends = {f"{name}_end": bounds(directory, name)[1] for name in ("out", "err")}
        record = {"code": 0, "signal": 0, **ends, "lost": HOLDER_LOST, "ended_at": time.time()}
        write_json(f"{directory}/{EXIT_FILE}", record)
        return record

    def forget_bytes(self, session_id: str) -> None:
        """Delete the log of an ended session that is safe elsewhere; what is known of it stays."""
        directory = self.existing(session_id)
        for name in ("out", "err"):
            for offset, _ in find_segments(directory, name):
                os.unlink(segment_path(directory, name, offset))


def bounds(directory: str, name: str) -> tuple[int, int]:
    """(first, end) of a stream on disk."""
    segments = find_segments(directory, name)
    return (segments[0][0], segments[-1][0] + segments[-1][1]) if segments else (0, 0)


def kill_leftovers(pid: int, start: int, marks: Sequence[bytes]) -> None:
    """Kill what a lost holder left behind: its process, known by start time, and all that carry the session's marks."""
    if pid and start and system.process_start(pid) == start:
        tree.send_group(pid, system.SIGKILL)
        tree.send(pid, system.SIGKILL)
    for left in tree.tagged(*marks):
        tree.send(left, system.SIGKILL)


def read_json(path: str) -> dict[str, Any] | None:
    """A record, or None if there is none or it is damaged."""
    try:
        with open(path, "rb") as file:
            record = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_json(path: str, record: dict[str, Any]) -> None:
    """Write a record in one step."""
    with open(path + ".new", "w", encoding="ascii") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def _meta(request: pb.OpenSessionRequest) -> dict[str, Any]:
    return {
        "id": request.session_id,
        "name": request.name,
        "kind": request.kind,
        "argv": [os.fsdecode(part) for part in request.argv],
        "directory": os.fsdecode(request.directory),
        "pty": request.pty,
        "columns": request.size.columns or 80,
        "rows": request.size.rows or 24,
        "size_cap": request.size_cap or DEFAULT_CAP,
        "stdin_closed": request.stdin_closed,
    }
