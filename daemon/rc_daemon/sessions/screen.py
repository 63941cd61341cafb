"""What a terminal that has nothing yet must be shown to look as if it had been there all the time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from rc_daemon.sessions.mirrored import MirroredSession
from rc_protos.stream.terminal import ModeTracker

# Replayed at most: a moment's worth for a terminal, many screens for a person.
LIMIT = 4 << 20
# Where a replay may begin is looked for in so many bytes.
_SEARCH = 1 << 16
MODES_FILE = "modes"


class Screens:
    """Where replays begin, and the modes there.

    How far the modes of a log are known is kept beside it, so that no byte is looked at twice, and none is missed that
    was let go.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()

    def replay(self, session: MirroredSession) -> tuple[bytes, int]:
        """(bytes that restore the modes, offset from which to replay); blocks while it reads the log."""
        first, end = session.first("out"), session.end("out")
        if first == 0 and end <= self._limit:
            return b"", 0
        with self._lock:
            return self._advance(session, max(first, end - self._limit))

    def keep_modes(self, session: MirroredSession, offset: int) -> None:
        """The bytes before the offset are about to go: remember what they did to the terminal."""
        if session.pty:
            with self._lock:
                self._advance(session, offset)

    def _advance(self, session: MirroredSession, wanted: int) -> tuple[bytes, int]:
        """The modes at a place where a replay may begin, at `wanted` or soon after."""
        modes, at = _load(session.directory)
        if at >= wanted:
            return modes, at
        tracker = ModeTracker()
        tracker.feed(modes)
        reader = session.reader("out")
        try:
            at = max(at, session.first("out"))
            marks = [mark.out_offset for mark in session.marks if mark.kind == "resize"]
            resizes = iter([offset for offset in marks if offset >= at])
            resize = next(resizes, wanted)
            while at < wanted:
                if at == resize:
                    tracker.resized()
                    resize = next(resizes, wanted)
                    continue
                data = session.piece(reader, at, min(wanted, resize))
                tracker.feed(data)
                at += len(data)
            end = min(session.end("out"), at + _SEARCH)
            tail = session.piece(reader, at, end) if at < end else b""
        finally:
            reader.close()
        at += tracker.safe_boundary(tail)
        if tracker.ground:
            _save(session.directory, tracker.preamble(), at)
        return tracker.preamble(), at


def _load(directory: Path) -> tuple[bytes, int]:
    try:
        offset, _, modes = (directory / MODES_FILE).read_bytes().partition(b"\n")
    except FileNotFoundError:
        return b"", 0
    return (modes, int(offset)) if offset.isdigit() else (b"", 0)


def _save(directory: Path, modes: bytes, at: int) -> None:
    temporary = directory / f".{MODES_FILE}"
    temporary.write_bytes(b"%d\n" % at + modes)
    os.replace(temporary, directory / MODES_FILE)
