"""The live conversation on a terminal: what was said, what is said, and a line to say something."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import termios
from typing import TYPE_CHECKING, Any

from rc_cli.credentials import present
from rc_cli.terminal import key_byte
from rc_cli.view.conversation import Printer
from rc_cli.view.text import clean, columns, paint, width
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import RequestState, Task, TaskState

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

HISTORY = 400
HELP = "type to talk · /cancel ends the turn · y or n answers · {key} detaches"


class Talk:
    """One user at one task."""

    def __init__(self, client: DaemonClient, task: Task) -> None:
        self._client = client
        self._task = task
        self._printer = Printer()
        self._pending: list[str] = []
        self._leave = asyncio.Event()
        # One line is said before the next.
        self._saying = asyncio.Lock()
        self._line = ""

    async def run(self) -> int:
        """Until the user detaches."""
        from rc_protos.config import load

        key = str(load()["detach_key"])
        self._key = key_byte(key)
        before = termios.tcgetattr(0)
        loop = asyncio.get_running_loop()
        async with Background("talk") as background:
            self._background = background
            try:
                _by_character()
                after = await self._history()
                self._write(self._printer.finish() + paint(f"— {HELP.format(key=key.capitalize())}", "2") + "\n")
                self._prompt()
                loop.add_reader(0, self._typed)
                watching = background.spawn(self._watch(after), "watch")
                leaving = background.spawn(self._leave.wait(), "leave")
                await asyncio.wait([watching, leaving], return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
            finally:
                loop.remove_reader(0)
                termios.tcsetattr(0, termios.TCSADRAIN, before)
        self._write("\r\x1b[K")
        sys.stderr.write(f"detached; come back with: rc attach {self._task.name}\n")
        return 0

    async def _history(self) -> int:
        events, last = await self._client.list_events(self._task.id, tail=HISTORY)
        for event in events:
            self._note(event.kind, json.loads(event.payload))
            self._write(self._printer.show(event.kind, json.loads(event.payload)))
        requests = await self._client.list_requests(self._task.id)
        self._pending = [each.id for each in requests if each.state is RequestState.PENDING]
        return events[-1].seq if events else last

    async def _watch(self, after: int) -> None:
        async for event in self._client.watch_events(self._task.id, after_seq=after):
            payload = json.loads(event.payload)
            self._note(event.kind, payload)
            midline = self._printer.midline
            shown = self._printer.show(event.kind, payload)
            if not shown:
                continue
            # The prompt's line gives way; a line of text that goes on does not.
            self._write(shown if midline else "\r\x1b[K" + shown)
            if not self._printer.midline:
                self._prompt()
            if event.kind == "task.state" and payload.get("to") == TaskState.REMOVED:
                self._leave.set()

    def _note(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "request.opened":
            self._pending.append(str(payload["id"]))
        elif kind in ("request.answered", "request.withdrawn"):
            self._pending = [each for each in self._pending if each != payload.get("id")]

    def _typed(self) -> None:
        typed = os.read(0, 4096)
        if not typed or self._key in typed:
            self._leave.set()
            return
        for character in typed.decode("utf-8", "replace"):
            self._type(character)

    def _type(self, character: str) -> None:
        if character in "\r\n":
            line, self._line = self._line.strip(), ""
            self._write("\r\x1b[K")
            if line:
                self._background.spawn(self._say(line), "say")
            self._prompt()
        elif character in "\x7f\x08":
            self._line = self._line[:-1]
            self._prompt()
        elif character == "\x15":
            self._line = ""
            self._prompt()
        elif character == "\x03" or (character == "\x04" and not self._line):
            self._leave.set()
        elif character.isprintable():
            self._line += character
            self._prompt()

    async def _say(self, line: str) -> None:
        try:
            async with self._saying:
                if line == "/cancel":
                    await self._client.cancel_turn(self._task.id)
                elif self._pending and line.lower() in ("y", "yes", "n", "no"):
                    await self._client.answer_request(self._pending[0], approve=line.lower().startswith("y"))
                else:
                    await self._client.say_task(self._task.id, line, credentials=present())
        except RemoteClaudeError as error:
            self._write(f"\r\x1b[K{paint('! ' + clean(error.message), '31')}\n")
            self._prompt()

    def _prompt(self) -> None:
        mark, colour = ("? [y/n]", "33") if self._pending else (">", "1")
        shown = _end_of(self._line, (columns() or 80) - len(mark) - 2)
        self._write(f"{self._printer.finish()}\r\x1b[K{paint(mark, colour)} {shown}")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _end_of(line: str, room: int) -> str:
    """What fits of it: only one row of the terminal can be drawn anew."""
    if width(line) <= room:
        return line
    while line and width(line) >= room:
        line = line[1:]
    return "…" + line


def _by_character() -> None:
    """Each key at once and unechoed; output and signals as usual, but Ctrl-C is ours."""
    mode = termios.tcgetattr(0)
    mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
    mode[0] &= ~termios.ICRNL
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
