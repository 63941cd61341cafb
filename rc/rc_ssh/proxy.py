"""`rc ssh-proxy`: the ProxyCommand of ssh, the server's side of SSH on stdin and stdout."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

import asyncssh

from rc_client.client import DaemonClient
from rc_protos.background import Background
from rc_ssh import keys
from rc_ssh.server import Server

# In a user's ssh configuration, tasks are the hosts of this prefix.
PREFIX = "rc-"
# How long sessions of a client that has gone may take to end.
END_SECONDS = 15.0
PIECE = 1 << 18
# It goes through two pipes of one machine: of the ciphers that OpenSSH has, the cheapest.
CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"]


async def serve(client: DaemonClient, name: str) -> int:
    """Until ssh hangs up; `name`: a task, or the host that stands for it."""
    # What a library logs would land in the user's terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    # ssh sends the one, a terminal the other to both of us; our end is that of our input, and then there is work to do.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    task = (await client.get_task(name.removeprefix(PREFIX))).id
    key = keys.host_key()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with Background("ssh-proxy") as background, Background("channels") as channels:
        inward = background.spawn(_pump_in(ours), "in")
        background.spawn(_pump_out(ours), "out")
        with suppress(asyncssh.Error, OSError):
            connection = await asyncssh.run_server(
                theirs,
                server_factory=lambda: Server(client, task, channels),
                server_host_keys=[key],
                encryption_algs=CIPHERS,
                encoding=None,
                line_editor=False,
                agent_forwarding=False,
            )
            await connection.wait_closed()
        inward.cancel()
        if channels.tasks:
            await asyncio.wait(channels.tasks, timeout=END_SECONDS)
    ours.close()
    return 0


async def _pump_in(ours: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=PIECE)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while data := await reader.read(PIECE):
            await loop.sock_sendall(ours, data)
        ours.shutdown(socket.SHUT_WR)
    finally:
        transport.close()


async def _pump_out(ours: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(BrokenPipeError):
        while data := await loop.sock_recv(ours, PIECE):
            await asyncio.to_thread(_put, data)
    # ssh waits for the end of our output.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _put(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
