"""A channel's bytes on a socket that can be given away: two threads per channel, which end with it."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

import paramiko

COPY = 1 << 17
# How long a channel that nobody reads may keep an end unnoticed.
LOOK_SECONDS = 5.0


def as_socket(channel: paramiko.Channel, first: bytes, name: str) -> socket.socket:
    """A connected socket that is the channel; `first` is what was read from it already."""
    ours, theirs = socket.socketpair()
    channel.settimeout(LOOK_SECONDS)
    for work, arguments in ((_into, (channel, theirs)), (_out_of, (channel, theirs, first))):
        threading.Thread(target=work, args=arguments, name=f"ssh {name}", daemon=True).start()
    return ours


def _into(channel: paramiko.Channel, end: socket.socket) -> None:
    """Ends when the other end of the pair is closed; then so is the channel."""
    hung_up = select.poll()
    hung_up.register(end, 0)
    with suppress(OSError, paramiko.SSHException, EOFError), end:
        while data := end.recv(COPY):
            while data:
                try:
                    data = data[channel.send(data) :]
                except TimeoutError:
                    if hung_up.poll(0):
                        break
        channel.shutdown_write()
        # Only half closed: what the other side says is still read.
        hung_up.poll()
    channel.close()


def _out_of(channel: paramiko.Channel, end: socket.socket, first: bytes) -> None:
    with suppress(OSError, EOFError):
        if first:
            end.sendall(first)
        while True:
            try:
                data = channel.recv(COPY)
            except TimeoutError:
                continue
            if not data:
                break
            end.sendall(data)
    with suppress(OSError):
        # A cut ends both directions, the end of the process's output only one.
        end.shutdown(socket.SHUT_RDWR if channel.closed else socket.SHUT_WR)
