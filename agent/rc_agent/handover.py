"""The control socket on which `connect` hands over a byte stream by SCM_RIGHTS: no pump stays in between."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from rc_agent.frames import BadFrame, Frames
from rc_agent.home import bundle_digest

log = logging.getLogger("rc.agent")

# The newcomer brings another version of us: let it start its own.
TAKEN = b"k"
REPLACED = b"r"
_PATIENCE = 5.0


class HandOver:
    """Accepts callers, each of which brings one stream and the line to say on it first."""

    def __init__(
        self, listener: socket.socket, take: Callable[[socket.socket], None], step_down: Callable[[], None]
    ) -> None:
        self._listener = listener
        self._take = take
        self._step_down = step_down
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except OSError:
            return
        caller.setblocking(False)
        fd = caller.fileno()
        patience = self._loop.call_later(_PATIENCE, self._hang_up, caller)
        self._loop.add_reader(fd, self._receive, caller, patience)

    def _hang_up(self, caller: socket.socket) -> None:
        self._loop.remove_reader(caller.fileno())
        caller.close()

    def _receive(self, caller: socket.socket, patience: asyncio.TimerHandle) -> None:
        patience.cancel()
        try:
            data, fds, _, _ = socket.recv_fds(caller, 4096, 1)
            answer = self._receive_stream(data, fds)
            if answer:
                caller.send(answer)
        except (OSError, BadFrame, KeyError) as error:
            log.warning("a stream could not be handed over: %s", error)
        finally:
            self._hang_up(caller)

    def _receive_stream(self, data: bytes, fds: list[int]) -> bytes:
        messages = Frames().feed(data)
        if len(messages) != 1 or len(fds) != 1:
            for fd in fds:
                os.close(fd)
            return b""
        theirs = messages[0]["bundle"].decode()
        if theirs and theirs != bundle_digest():
            os.close(fds[0])
            self._step_down()
            return REPLACED
        stream = socket.socket(fileno=fds[0])
        stream.setblocking(False)
        try:
            stream.send(messages[0]["ready"])
        except OSError:
            stream.close()
            raise
        self._take(stream)
        return TAKEN
