"""One session channel of an SSH client: what it asked for, and its bytes both ways as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncssh

from rc_protos.model import TerminalSize

SFTP = "sftp"
# So much input is kept for a process that does not read; then the client waits.
_INPUT_MOST = 1 << 18


class Channel(asyncssh.SSHServerSession[bytes]):
    """Reads what the client sends, writes what it shows; `start` hears of it once the client has asked for a thing."""

    def __init__(self, start: Callable[[Channel], object]) -> None:
        self._start = start
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._input = bytearray()
        self._ended = False
        self._came = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()
        self.on_resize: Callable[[TerminalSize], object] = lambda size: None
        self.on_signal: Callable[[str], object] = lambda name: None

    # what was asked for

    @property
    def command(self) -> str | None:
        """None: a login shell."""
        return self._channel.get_command()

    @property
    def sftp(self) -> bool:
        """The client speaks SFTP and runs nothing."""
        return self._channel.get_subsystem() == SFTP

    @property
    def environment(self) -> dict[str, bytes]:
        """What the client sends along, and the terminal's type."""
        sent = {name.decode(): value for name, value in self._channel.get_environment_bytes().items()}
        term = self._channel.get_terminal_type()
        return sent if term is None else sent | {"TERM": term.encode()}

    @property
    def size(self) -> TerminalSize | None:
        """None: no terminal was asked for."""
        if self._channel.get_terminal_type() is None:
            return None
        columns, rows, *_ = self._channel.get_terminal_size()
        return _size(columns, rows)

    # bytes

    async def read(self, n: int, /) -> bytes:
        """What the client has sent, up to `n` bytes; empty at its end."""
        while not self._input and not self._ended:
            self._came.clear()
            await self._came.wait()
        data = bytes(self._input[:n])
        del self._input[:n]
        if len(self._input) < _INPUT_MOST and not self.closed.is_set():
            self._channel.resume_reading()
        return data

    def write(self, data: bytes, /) -> None:
        """To the client's stdout."""
        self._channel.write(data)

    def write_error(self, data: bytes) -> None:
        """To the client's stderr."""
        self._channel.write_stderr(data)

    async def drain(self) -> None:
        """Wait for a client that is slow; raises ConnectionError if it has gone."""
        await self._writable.wait()
        if self.closed.is_set():
            raise ConnectionResetError("the client has gone")

    def can_write_eof(self) -> bool:
        """The end is told with the exit."""
        return False

    def write_eof(self) -> None:
        """Not used."""

    def exit(self, code: int) -> None:
        """Tell the client how its command ended."""
        self._channel.exit(code)

    def exit_by_signal(self, name: str) -> None:
        """Tell it that a signal has ended its command: "TERM"."""
        self._channel.exit_with_signal(name)

    # asyncssh calls these

    def connection_made(self, chan: Any) -> None:
        """The channel is open."""
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        """A terminal: of any kind."""
        return True

    def shell_requested(self) -> bool:
        """A login shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command."""
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """A subsystem: SFTP is the only one."""
        return subsystem == SFTP

    def session_started(self) -> None:
        """Everything is said."""
        self._start(self)

    def data_received(self, data: bytes, datatype: Any) -> None:
        """Input."""
        self._input += data
        if len(self._input) >= _INPUT_MOST:
            self._channel.pause_reading()
        self._came.set()

    def eof_received(self) -> bool:
        """The end of input; output goes on."""
        self._ended = True
        self._came.set()
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """The window has changed."""
        self.on_resize(_size(width, height))

    def signal_received(self, signal: str) -> None:
        """A signal by its name without SIG."""
        self.on_signal(signal)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed on both sides, or cut."""
        self._ended = True
        self.closed.set()
        self._came.set()
        self._writable.set()


def _size(columns: int, rows: int) -> TerminalSize:
    # Clients without a window say 0.
    return TerminalSize(columns or 80, rows or 24)
