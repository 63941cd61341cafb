"""The holder's unix socket: who is connected, what they asked, what they are yet to be told."""

from __future__ import annotations

import _socket
import os

from rc_agent.frames import BadFrame, Frames, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "sock"
_RECEIVE = 262144
# A caller that does not read its answers gets no more of them.
_UNREAD = 1 << 20


class Connection:
    """One caller; what it is told is the present state, so nothing piles up for a slow one."""

    def __init__(self, fd: int) -> None:
        self.socket = _socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self.fd = fd
        # The state version it has seen and waits to be passed, or -1.
        self.waits_beyond = -1
        # Writers whose watermark it is told, and the watermark last told.
        self.told: dict[bytes, tuple[int, int]] = {}
        self.requests: list[dict[str, Any]] = []
        self.closed = False
        self._frames = Frames()
        self._out = bytearray()

    @property
    def wants_write(self) -> bool:
        """Whether answers wait for room."""
        return bool(self._out)

    def receive(self) -> None:
        """Take what has come; the requests go to `requests`."""
        try:
            data = self.socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            self.requests += self._frames.feed(data)
        except BadFrame:
            data = b""
        self.closed = self.closed or not data

    def send(self, message: dict[str, Any]) -> None:
        """Answer, now or when there is room."""
        self._out += pack(message)
        self.flush()
        self.closed = self.closed or len(self._out) > _UNREAD

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        while self._out and not self.closed:
            try:
                count = self.socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            del self._out[:count]

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self.socket.close()


class Listener:
    """The listening socket in the session's directory; paths there are relative, so no length limit bites."""

    def __init__(self) -> None:
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._socket.bind(SOCKET)
        self._socket.listen(64)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()

    def accept(self) -> Connection | None:
        """A new caller, if there is one."""
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]
        except OSError:
            return None
        os.set_inheritable(fd, False)
        return Connection(fd)
