"""Two threads that copy between stdin/stdout and the agent's socket, where a transport gives us pipes or a terminal."""

from __future__ import annotations

import _socket
import os
import threading

from rc_protos.stream.framing import Damaged, Decoder, Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_COPY = 1 << 16


def pump(agent: _socket.socket) -> None:
    """Copy both ways until the agent has hung up."""
    _both_ways(agent, lambda data: data, lambda data: (data, not data), bytes)


def pump_framed(agent: _socket.socket) -> None:
    """The same over a stream that is not 8-bit clean; a damaged frame is a cut."""
    encoder, decoder = Encoder(), Decoder()
    _both_ways(agent, encoder.data, lambda data: (decoder.feed(data), decoder.ended or not data), encoder.end)


def _both_ways(
    agent: _socket.socket,
    pack: Callable[[bytes], bytes],
    unpack: Callable[[bytes], tuple[bytes, bool]],
    end: Callable[[], bytes],
) -> None:
    threading.Thread(target=_to_agent, args=(agent, unpack), daemon=True).start()
    try:
        while data := agent.recv(_COPY):
            _write(pack(data))
        _write(end())
    except OSError:
        # Either side has cut the stream; there is nobody left to tell.
        return


def _to_agent(agent: _socket.socket, unpack: Callable[[bytes], tuple[bytes, bool]]) -> None:
    try:
        over = False
        while not over:
            data, over = unpack(os.read(0, _COPY))
            agent.sendall(data)
        agent.shutdown(_socket.SHUT_WR)
    except OSError:
        return
    except Damaged:
        agent.shutdown(_socket.SHUT_RDWR)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
