"""A person at a terminal: runs a command on a PTY, types, and waits for what appears."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """One command on a PTY of 80 x 24."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], list(argv), {**os.environ, "TERM": "xterm-256color", **(env or {})})
            finally:
                os._exit(127)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._seen = b""

    def type(self, data: bytes) -> None:
        """Type."""
        os.write(self.master, data)

    def read(self, deadline: float = 30.0) -> bytes:
        """What has appeared, at least one byte."""
        ready, _, _ = select.select([self.master], [], [], deadline)
        if not ready:
            raise TimeoutError(f"nothing appeared for {deadline} s; last: {self._seen[-300:]!r}")
        data = os.read(self.master, 1 << 18)
        self._seen = (self._seen + data)[-4096:]
        return data

    def wait_for(self, marker: bytes, deadline: float = 60.0) -> float:
        """Read on until the marker has appeared; the monotonic time at which it had."""
        ends = time.monotonic() + deadline
        tail = b""
        while time.monotonic() < ends:
            tail += self.read(deadline)
            if marker in tail:
                return time.monotonic()
            tail = tail[-len(marker) :]
        raise TimeoutError(f"{marker!r} did not appear within {deadline} s; last: {self._seen[-300:]!r}")

    def quiet(self, seconds: float = 0.3) -> None:
        """Read until nothing appears for a while."""
        while select.select([self.master], [], [], seconds)[0]:
            self.read()

    def key_echo(self, key: bytes) -> float:
        """Seconds from typing a key until it appears."""
        began = time.perf_counter()
        os.write(self.master, key)
        while key not in self.read():
            pass
        return time.perf_counter() - began

    def stop_reading(self) -> None:
        """A client that hangs: stopped, and nobody reads its screen."""
        os.kill(self.pid, signal.SIGSTOP)

    def close(self) -> None:
        """End the command."""
        for number in (signal.SIGKILL, signal.SIGCONT):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
        os.waitpid(self.pid, 0)
        os.close(self.master)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
