"""What was said and done, on disk under $HOME/.rc-demo: one JSON object per line, so that a killed turn can go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def folder() -> Path:
    """Where transcripts are kept."""
    return Path(os.environ.get("HOME", "/")) / ".rc-demo"


class Transcript:
    """One session's transcript; every record is on disk when `add` returns."""

    def __init__(self, session: str, records: list[Record]) -> None:
        self.session = session
        self.records = records
        self._path = folder() / f"{session}.jsonl"

    @classmethod
    def new(cls) -> Transcript:
        """Begin the next session of this HOME: demo-1, demo-2, ..."""
        folder().mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            session = f"demo-{number}"
            try:
                (folder() / f"{session}.jsonl").open("x").close()
            except FileExistsError:
                number += 1
                continue
            return cls(session, [])

    @classmethod
    def open(cls, session: str) -> Transcript:
        """Read a session; raises FileNotFoundError. A last line cut by a kill is left out."""
        if "/" in session or not session.startswith("demo-"):
            raise FileNotFoundError(session)
        raw = (folder() / f"{session}.jsonl").read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) != len(raw):
            with (folder() / f"{session}.jsonl").open("r+b") as file:
                file.truncate(len(whole))
        return cls(session, [json.loads(line) for line in whole.splitlines()])

    def add(self, **record: Any) -> None:
        """Append one record."""
        self.records.append(record)
        with self._path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")

    @property
    def turns(self) -> int:
        """How many prompts this session was given, resumed ones not counted twice."""
        return sum(1 for record in self.records if record["type"] == "prompt")

    def unfinished(self) -> tuple[str, int] | None:
        """The prompt of a turn that was cut and the number of steps it had done, or None."""
        done = 0
        for record in reversed(self.records):
            if record["type"] == "end":
                return None
            if record["type"] == "step":
                done = max(done, int(record["done"]))
            if record["type"] == "prompt":
                return str(record["text"]), done
        return None
