"""Plays one turn's steps on a face (ACP or terminal), noting each in the transcript so that a killed turn goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rc_demo.script import Step
from rc_demo.transcript import Transcript

CHUNK = 4096


class Face(Protocol):
    """Where a turn shows itself."""

    mode: str

    def update(self, kind: str, /, **fields: Any) -> None:
        """Show an ACP session update."""

    def permitted(self, call: dict[str, Any]) -> bool:
        """Ask the human; raises Cancelled."""

    def raw(self, text: str) -> None:
        """Write a line that is no message."""


class Cancelled(Exception):
    """The turn is to end."""


class Failed(Exception):
    """The turn ends with an error."""


class Turn:
    """One turn being played."""

    def __init__(self, face: Face, transcript: Transcript, directory: Path, cancel: threading.Event) -> None:
        self._face = face
        self._transcript = transcript
        self._directory = directory
        self._cancel = cancel
        self._calls = sum(1 for record in transcript.records if record["type"] == "tool")
        self.usage = (0, 0)

    def play(self, steps: Sequence[Step], done: int = 0) -> None:
        """Do the steps after the first `done`; raises Cancelled or Failed."""
        for number, step in enumerate(steps[done:], start=done + 1):
            self._check()
            handler = getattr(self, f"_do_{step.verb}")
            handler(step)
            self._transcript.add(type="step", done=number, verb=step.verb)
        self._check()

    def _check(self) -> None:
        if self._cancel.is_set():
            raise Cancelled

    # --- showing ---

    def _do_say(self, step: Step) -> None:
        self._transcript.add(type="agent", text=step.rest)
        message = str(uuid.uuid4())
        for piece in _pieces(step.rest):
            self._face.update("agent_message_chunk", content={"type": "text", "text": piece}, messageId=message)

    def _do_think(self, step: Step) -> None:
        self._face.update("agent_thought_chunk", content={"type": "text", "text": step.rest})

    def _do_plan(self, step: Step) -> None:
        entries = [
            {"content": part.strip(), "priority": "medium", "status": "pending"} for part in step.rest.split("|")
        ]
        self._face.update("plan", entries=entries)

    def _do_print(self, step: Step) -> None:
        total = int(float(step.rest or "1") * 1024)
        for start in range(0, total, CHUNK):
            self._check()
            text = pattern(start, min(CHUNK, total - start))
            self._face.update("agent_message_chunk", content={"type": "text", "text": text})

    def _do_usage(self, step: Step) -> None:
        received, sent = (int(word) for word in step.rest.split()[:2])
        self.usage = (self.usage[0] + received, self.usage[1] + sent)
        self._face.update("usage_update", used=sum(self.usage), size=200_000)

    def _do_unknown(self, step: Step) -> None:
        self._face.update("rc_demo_unknown", text=step.rest)

    def _do_stderr(self, step: Step) -> None:
        sys.stderr.write(step.rest + "\n")
        sys.stderr.flush()

    def _do_garbage(self, step: Step) -> None:
        self._face.raw(step.rest)

    # --- time and ends ---

    def _do_sleep(self, step: Step) -> None:
        if self._cancel.wait(float(step.rest or "1")):
            raise Cancelled

    def _do_stubborn(self, step: Step) -> None:
        time.sleep(float(step.rest or "1"))

    def _do_fail(self, step: Step) -> None:
        raise Failed(step.rest or "the script says so")

    def _do_crash(self, step: Step) -> None:
        # Noted before it happens: the resumed turn goes on behind it.
        self._transcript.add(type="step", done=self._number(), verb=step.verb)
        os.kill(os.getpid(), signal.SIGKILL)

    def _do_exit(self, step: Step) -> None:
        self._transcript.add(type="step", done=self._number(), verb=step.verb)
        sys.stderr.write("rc-demo: the script says exit\n")
        sys.stderr.flush()
        os._exit(int(step.rest or "0"))

    def _number(self) -> int:
        unfinished = self._transcript.unfinished()
        return (unfinished[1] if unfinished else 0) + 1

    # --- files ---

    def _do_read(self, step: Step) -> None:
        call = self._call("read", f"Read {step.rest}", locations=[{"path": str(self._path(step.rest))}])
        try:
            text = self._path(step.rest).read_text(errors="replace")
        except OSError as error:
            self._end(call, "failed", str(error))
            return
        self._end(call, "completed", text)

    def _do_write(self, step: Step) -> None:
        name, text = step.word_and_text()
        self._edit(name, text, adding=False)

    def _do_append(self, step: Step) -> None:
        name, text = step.word_and_text()
        self._edit(name, text, adding=True)

    def _edit(self, name: str, text: str, *, adding: bool) -> None:
        path = self._path(name)
        old = path.read_text(errors="replace") if path.is_file() else None
        # A resumed turn may come here twice; it must not add twice.
        new = text if not adding else (old or "") + ("" if (old or "").endswith(text) else text)
        diff = {"type": "diff", "path": str(path), "oldText": old, "newText": new}
        call = self._call("edit", f"Edit {name}", content=[diff], locations=[{"path": str(path)}])
        if self._face.mode == "ask" and not self._allowed(call):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new)
        self._face.update("tool_call_update", toolCallId=call["toolCallId"], status="completed", content=[diff])

    def _path(self, name: str) -> Path:
        return self._directory / name

    # --- commands ---

    def _do_run(self, step: Step) -> None:
        self._run(step.rest, ask=self._face.mode == "ask")

    def _do_askrun(self, step: Step) -> None:
        self._run(step.rest, ask=self._face.mode != "auto")

    def _do_commit(self, step: Step) -> None:
        message = step.rest.replace("'", "")
        self._run(f"git add -A && git commit -q -m '{message}'", ask=self._face.mode == "ask")

    def _do_ask(self, step: Step) -> None:
        call = self._call("other", step.rest or "Go on?")
        if self._allowed(call):
            self._end(call, "completed", "permitted")

    def _run(self, command: str, *, ask: bool) -> None:
        call = self._call("execute", command, rawInput={"command": command})
        if ask and not self._allowed(call):
            return
        code, output = self._execute(command)
        self._end(call, "completed" if code == 0 else "failed", f"{output}(exit code {code})")

    def _execute(self, command: str) -> tuple[int, str]:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output: list[bytes] = []
        reader = threading.Thread(target=_collect, args=(process, output), daemon=True)
        reader.start()
        while process.poll() is None:
            if self._cancel.wait(0.02):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise Cancelled
        reader.join(2)
        return process.returncode, b"".join(output).decode("utf-8", "replace")

    def _allowed(self, call: dict[str, Any]) -> bool:
        if self._face.permitted(call):
            return True
        self._end(call, "failed", "not permitted")
        self._do_say(Step("say", "That was not permitted, so I leave it."))
        return False

    def _call(self, kind: str, title: str, **fields: Any) -> dict[str, Any]:
        self._calls += 1
        call = {"toolCallId": f"call-{self._calls}", "title": title, "kind": kind, "status": "in_progress", **fields}
        self._transcript.add(type="tool", title=title, kind=kind)
        self._face.update("tool_call", **call)
        return call

    def _end(self, call: dict[str, Any], status: str, text: str) -> None:
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        self._face.update("tool_call_update", toolCallId=call["toolCallId"], status=status, content=content)


def pattern(start: int, length: int) -> str:
    """`length` characters of an endless known text, from `start` on."""
    line = "0123456789abcdefghijklmnopqrstuvwxyz-RemoteClaude-ABCDEFGHIJKL\n"
    first = start % len(line)
    return (line * ((first + length) // len(line) + 1))[first : first + length]


def _collect(process: subprocess.Popen[bytes], output: list[bytes]) -> None:
    stream = process.stdout
    while stream is not None and (chunk := os.read(stream.fileno(), 65536)):
        output.append(chunk)


def _pieces(text: str) -> list[str]:
    """As a model streams: a few words at a time."""
    words = [word + " " for word in text.split(" ")]
    pieces = ["".join(words[start : start + 6]) for start in range(0, len(words), 6)]
    return [*pieces[:-1], pieces[-1][:-1]]
