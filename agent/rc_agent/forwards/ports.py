"""TCP ports on which processes of this sandbox listen (Linux: proc(5), /proc/net/tcp)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from rc_agent import tree

_LISTEN = "0A"


class Listening(NamedTuple):
    """A port, the address it is bound to, and the command that holds it."""

    port: int
    address: str
    command: str


def listening(state: str) -> list[Listening]:
    """In order of port; `state`: the agent's state directory, which marks the sandbox's processes."""
    sockets = {inode: where for name in ("tcp", "tcp6") for inode, where in _sockets(f"/proc/net/{name}")}
    if not sockets:
        return []
    found = {}
    for pid in tree.tagged(b"RC_STATE=" + os.fsencode(state)):
        for inode in _inodes(pid):
            if inode in sockets:
                address, port = sockets[inode]
                found[port] = Listening(port, address, _command(pid))
    return [found[port] for port in sorted(found)]


def _sockets(table: str) -> Iterator[tuple[str, tuple[str, int]]]:
    """(inode, (address, port)) of each listening socket."""
    try:
        with open(table, encoding="ascii") as file:
            lines = file.readlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN:
            address, _, port = fields[1].partition(":")
            yield fields[9], (_address(address), int(port, 16))


def _address(text: str) -> str:
    # Words of four bytes, each in the machine's own order.
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def _inodes(pid: int) -> Iterator[str]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
