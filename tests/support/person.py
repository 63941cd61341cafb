"""A person at the command line: runs `rc` in a home of its own, through pipes or at a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.daemon import DaemonProcess
from support.emulator import Emulator

RC = str(Path(sys.executable).parent / "rc")
DEADLINE = 90.0
# Nothing of the machine that runs the tests may show: no credentials, no colours, no language.
PLAIN = ("RC_", "ANTHROPIC", "CLAUDE", "COLUMNS", "LINES", "NO_COLOR", "PAGER", "GIT_")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Person:
    """Works in one directory with one daemon."""

    def __init__(self, daemon: DaemonProcess, directory: Path) -> None:
        self.daemon = daemon
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(PLAIN)}
        self.environment |= {"RC_HOME": str(daemon.home), "TERM": "xterm-256color", "PAGER": "cat"}
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def rc(self, *words: str, stdin: str | bytes = "", cwd: Path | None = None, **environment: str) -> Done:
        """Run a command without a terminal."""
        return self.run(RC, *words, stdin=stdin, cwd=cwd, **environment)

    def run(self, *argv: str, stdin: str | bytes = "", cwd: Path | None = None, **environment: str) -> Done:
        """Run any program in the person's environment."""
        done = subprocess.run(
            argv,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=cwd or self.directory,
            env=self.environment | environment,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *words: str, **how: Any) -> str:
        """Run a command that must succeed; its stdout."""
        done = self.rc(*words, **how)
        assert done.code == 0, (words, done)
        return done.out

    def json(self, *words: str) -> Any:
        """What a command prints with --json."""
        return json.loads(self.ok(*words, "--json"))

    def task(self, name: str, script: str = "say hi") -> str:
        """A task of the demo coding agent that has ended its first turn; its name."""
        self.ok("run", "-d", "--agent", "demo", "--name", name, f"demo: {script}")
        self.ok("wait", name)
        return name

    def until(self, name: str, state: str) -> None:
        """Wait until a task is in this state."""
        deadline = time.monotonic() + DEADLINE
        while (now := self.json("show", name)["state"]) != state:
            assert time.monotonic() < deadline, (name, now, state)
            time.sleep(0.05)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Run git in the person's repository; its stdout."""
        done = self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words, cwd=cwd)
        assert done.code == 0, (words, done)
        return done.out

    def screen(self, *words: str, columns: int = 80, rows: int = 24, **environment: str) -> Screen:
        """Run a command at a terminal."""
        return Screen([RC, *words], self.directory, self.environment | environment, columns, rows)


class Screen:
    """One command at a terminal of its own; a context that ends it."""

    def __init__(self, argv: list[str], cwd: Path, environment: Mapping[str, str], columns: int, rows: int) -> None:
        self.emulator = Emulator(columns, rows)
        self.raw = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            # A session of its own, whose terminal this is: Ctrl-C arrives as a signal.
            [sys.executable, "-c", _IN_SESSION, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(slave)

    @property
    def text(self) -> str:
        """What a person sees."""
        return self.emulator.text()

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self.emulator = Emulator(columns, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def see(self, words: str) -> Self:
        """Wait until words are on the screen."""
        deadline = time.monotonic() + DEADLINE
        while words not in self.text:
            assert time.monotonic() < deadline, f"{words!r} does not appear on:\n{self.text}"
            assert self._read(1.0) or words in self.text, f"it ended without {words!r}:\n{self.text}"
        return self

    def end(self) -> int:
        """Wait until the command ends; its exit code."""
        deadline = time.monotonic() + DEADLINE
        while self._read(1.0):
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        return self._process.wait(timeout=DEADLINE)

    def _read(self, seconds: float) -> bool:
        """Take in what appears; False once nobody is there to write."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.raw += data
        self.emulator.feed(data)
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=DEADLINE)
        os.close(self._master)


_IN_SESSION = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
