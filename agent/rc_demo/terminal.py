"""The demo coding agent's own terminal face: a line, a turn, a line, on the same transcript."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from rc_demo.agent import play
from rc_demo.script import INTRODUCTION
from rc_demo.transcript import Transcript
from rc_demo.turn import Failed

PROMPT = "demo> "


class Terminal:
    """One person at a terminal."""

    mode = "edits"

    def __init__(self, reader: TextIO, writer: TextIO) -> None:
        self._reader = reader
        self._writer = writer

    def run(self, session: str) -> int:
        """Show what was said, then take prompts until end of file or `exit`."""
        try:
            transcript = Transcript.open(session) if session else Transcript.new()
        except FileNotFoundError:
            sys.stderr.write(f"rc-demo: there is no session {session}\n")
            return 1
        self._write(f"{INTRODUCTION} Session {transcript.session}.\n")
        for record in transcript.records:
            self._show(record)
        while True:
            self._write(PROMPT)
            line = self._reader.readline()
            if not line or line.strip() == "exit":
                return 0
            if line.strip():
                self._turn(transcript, line.strip())

    def _turn(self, transcript: Transcript, text: str) -> None:
        try:
            play(self, transcript, text, Path.cwd(), threading.Event())
        except Failed as failed:
            self._write(f"\nfailed: {failed}\n")
        self._write("\n")

    def _show(self, record: dict[str, Any]) -> None:
        if record["type"] == "prompt":
            self._write(f"{PROMPT}{record['text']}\n")
        elif record["type"] == "agent":
            self._write(f"{record['text']}\n")

    def update(self, kind: str, /, **fields: Any) -> None:
        """Show what a person reads of an update."""
        if kind == "agent_message_chunk":
            self._write(fields["content"]["text"])
        elif kind == "tool_call":
            self._write(f"\n* {fields['title']}\n")

    def permitted(self, call: dict[str, Any]) -> bool:
        """Ask with y or n."""
        self._write(f"\nAllow {call['title']}? [y/N] ")
        return self._reader.readline().strip().lower() in ("y", "yes")

    def raw(self, text: str) -> None:
        """A line as it is."""
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._writer.write(text)
        self._writer.flush()
