"""The user's terminal joined to a PTY in a sandbox: raw, resized, restored whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from typing import TYPE_CHECKING

from rc_client.session import PLAIN, AttachedSession, Ended
from rc_protos.background import Background
from rc_protos.errors import usage
from rc_protos.model import TerminalSize
from rc_protos.stream.terminal import ModeTracker

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

# A cut that heals within this time is not worth a line.
SILENT_SECONDS = 2.0
FLUSH_SECONDS = 2.0


def terminal_size() -> TerminalSize:
    """Of the controlling terminal."""
    columns, rows = os.get_terminal_size(0)
    return TerminalSize(columns or 80, rows or 24)


def key_byte(name: str) -> bytes:
    """The byte of "ctrl-]" and its like; raises usage."""
    prefix, _, letter = name.lower().partition("-")
    if prefix != "ctrl" or len(letter) != 1 or not "@" <= letter.upper() <= "_":
        raise usage(f"detach_key: {name!r} is no key", "such as ctrl-] or ctrl-q")
    return bytes([ord(letter.upper()) & 0x1F])


class DetachKey:
    """Finds the detach key in what is typed: once detaches, twice in a row sends it."""

    def __init__(self, key: bytes, seconds: float = 0.5) -> None:
        self._key = key
        self._pending = False
        self.seconds = seconds

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """(what to send, whether to detach at once); a key at the end waits for its second half."""
        sent = bytearray()
        for place in range(len(typed)):
            byte = typed[place : place + 1]
            if self._pending:
                self._pending = False
                if byte != self._key:
                    return bytes(sent), True
                sent += byte
            elif byte == self._key:
                self._pending = True
            else:
                sent += byte
        return bytes(sent), False

    @property
    def pending(self) -> bool:
        """The key was pressed once, and nothing came after it yet."""
        return self._pending


class Terminal:
    """One attachment."""

    def __init__(self, client: DaemonClient, sandbox_id: str, session_id: str, back: str) -> None:
        self._client = client
        self._back = back
        self._session = AttachedSession(client, sandbox_id, session_id, on_link=self._link)
        self._modes = ModeTracker()
        self._leave = asyncio.Event()
        self._away: asyncio.TimerHandle | None = None
        self._told = False
        self.detached = False

    async def run(self) -> int:
        """Until the session ends or the user detaches; the exit code of what ran."""
        from rc_protos.config import load

        self._key = DetachKey(key_byte(load()["detach_key"]))
        before = termios.tcgetattr(0)
        loop = asyncio.get_running_loop()
        async with Background("terminal") as background:
            self._background = background
            try:
                # Not with a flush: what was typed while we started is for the session.
                tty.setraw(0, termios.TCSADRAIN)
                loop.add_reader(0, self._typed)
                loop.add_signal_handler(signal.SIGWINCH, self._resized)
                showing = background.spawn(self._show(), "show")
                leaving = background.spawn(self._leave.wait(), "leave")
                await asyncio.wait([showing, leaving], return_when=asyncio.FIRST_COMPLETED)
                if showing.done():
                    return showing.result()
                self.detached = True
                await self._session.flush(FLUSH_SECONDS)
                return 0
            finally:
                self._leave.set()
                loop.remove_reader(0)
                loop.remove_signal_handler(signal.SIGWINCH)
                os.write(1, self._leave_alternate() + PLAIN)
                termios.tcsetattr(0, termios.TCSADRAIN, before)
                await self._session.close()
                if self.detached:
                    sys.stderr.write(f"\r\ndetached; come back with: {self._back}\n")

    async def _show(self) -> int:
        async for item in self._session.output(screen=terminal_size()):
            if isinstance(item, Ended):
                return item.status.code if not item.status.lost else 1
            self._modes.feed(item.data)
            await _write(item.data)
        return 0

    def _leave_alternate(self) -> bytes:
        # Only from there: on the normal screen it would put the cursor where some program once saved it.
        return b"\x1b[?%dl" % self._modes.alternate if self._modes.alternate else b""

    def _typed(self) -> None:
        typed = os.read(0, 65536)
        if not typed:
            self._leave.set()
            return
        send, detach = self._key.feed(typed)
        if send:
            asyncio.get_running_loop().remove_reader(0)
            self._background.spawn(self._type(send), "type")
        if detach:
            self._leave.set()
        elif self._key.pending:
            asyncio.get_running_loop().call_later(self._key.seconds, self._decide)

    async def _type(self, typed: bytes) -> None:
        """The keyboard waits with it, so that nothing typed later overtakes it and no more than is kept is read."""
        await self._session.write(typed)
        if not self._leave.is_set():
            asyncio.get_running_loop().add_reader(0, self._typed)

    def _decide(self) -> None:
        if self._key.pending:
            self._leave.set()

    def _resized(self) -> None:
        self._background.spawn(self._session.resize(terminal_size()), "resize")

    def _link(self, up: bool) -> None:
        if not up and self._away is None:
            self._away = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._tell, "reconnecting ...")
        elif up and self._away is not None:
            self._away.cancel()
            self._away = None
            if self._told:
                self._tell("")

    def _tell(self, text: str) -> None:
        """One line in the title, where no program's screen is spoilt."""
        self._told = bool(text)
        os.write(1, f"\x1b]2;rc: {text or self._back}\x07".encode())


async def _write(data: bytes) -> None:
    """All of it to stdout, waiting while the terminal does not read."""
    while data:
        try:
            data = data[os.write(1, data) :]
        except BlockingIOError:
            await asyncio.sleep(0.005)
