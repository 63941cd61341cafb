"""Two threads that copy between stdin/stdout and the agent's socket, where a transport gives us pipes."""

from __future__ import annotations

import _socket
import os
import threading

_COPY = 1 << 16


def pump(agent: _socket.socket) -> None:
    """Copy both ways until the agent has hung up."""
    threading.Thread(target=_to_agent, args=(agent,), daemon=True).start()
    try:
        while data := agent.recv(_COPY):
            while data:
                data = data[os.write(1, data) :]
    except OSError:
        # Either side has cut the stream; there is nobody left to tell.
        return


def _to_agent(agent: _socket.socket) -> None:
    try:
        while data := os.read(0, _COPY):
            agent.sendall(data)
        agent.shutdown(_socket.SHUT_WR)
    except OSError:
        return
