"""What happened at an offset of a session's output, one JSON line each in `<directory>/marks.jsonl`."""

from __future__ import annotations

import os

MARKS_FILE = "marks.jsonl"


class Mark:
    """A resize, expiry or blockage at an offset of `out`; `time` in seconds since the epoch."""

    __slots__ = ("columns", "kind", "out_offset", "rows", "text", "time")

    def __init__(
        self, out_offset: int, kind: str, *, columns: int = 0, rows: int = 0, text: str = "", time: float = 0.0
    ) -> None:
        self.out_offset = out_offset
        self.kind = kind
        self.columns = columns
        self.rows = rows
        self.text = text
        self.time = time

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and all(getattr(self, k) == getattr(other, k) for k in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.out_offset, self.kind, self.time))

    def __repr__(self) -> str:
        return f"Mark({', '.join(f'{k}={getattr(self, k)!r}' for k in self.__slots__)})"


def append_mark(directory: str | os.PathLike[str], mark: Mark) -> None:
    """Add one line; a half line left by a crash stays a line of its own, which readers skip."""
    import json

    line = json.dumps({k: getattr(mark, k) for k in Mark.__slots__}).encode() + b"\n"
    path = os.path.join(os.fspath(directory), MARKS_FILE)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(fd, line)
    finally:
        os.close(fd)


def read_marks(directory: str | os.PathLike[str], position: int = 0) -> tuple[list[Mark], int]:
    """The marks from byte `position` of the file on, and the position to go on from."""
    try:
        with open(os.path.join(os.fspath(directory), MARKS_FILE), "rb") as file:
            file.seek(position)
            data = file.read()
    except FileNotFoundError:
        return [], position
    whole = data[: data.rfind(b"\n") + 1]
    marks = [mark for line in whole.splitlines() if (mark := _parse(line)) is not None]
    return marks, position + len(whole)


def _parse(line: bytes) -> Mark | None:
    import json

    try:
        fields = json.loads(line)
        return Mark(
            int(fields["out_offset"]),
            str(fields["kind"]),
            columns=int(fields.get("columns", 0)),
            rows=int(fields.get("rows", 0)),
            text=str(fields.get("text", "")),
            time=float(fields.get("time", 0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
