"""An SSH host: streams against `ssh HOST`, calls against the same over a local link, and the way back after a cut."""

from __future__ import annotations

import asyncio
import shlex
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from rc_daemon.links.calls import unary
from rc_protos.v1 import session_pb2 as pb
from support import sshd
from support.linked import Linked, linked, until
from timing import Row, ratio_row

MEBIBYTE = 1 << 20
SIZE = 256 * MEBIBYTE
COPY = 1 << 18
CALLS = 100
# More rounds of a quarter of a gibibyte take long and tell nothing new.
BULK_ROUNDS = 5


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    reason = sshd.find()
    if reason:
        print(f" left out: {reason}", file=sys.stderr)
        return
    yield from asyncio.run(_all(rounds))


async def _all(rounds: int) -> list[Row]:
    async with linked("ssh") as far, linked("bubblewrap") as near:
        await far.link.up(60)
        await near.link.up(60)
        parts = (_bulk(far, rounds), _calls(far, near, rounds), _cuts(far, rounds))
        return [row for part in parts async for row in part]


async def _bulk(far: Linked, rounds: int) -> AsyncIterator[Row]:
    down, up = ["head", "-c", str(SIZE), "/dev/zero"], ["sh", "-c", "cat >/dev/null; printf done"]
    seconds: dict[str, list[float]] = {name: [] for name in ("down", "ssh down", "up", "ssh up")}
    for _ in range(min(rounds, BULK_ROUNDS)):
        for name, argv, work in (("down", down, _drain), ("up", up, _fill)):
            began = time.perf_counter()
            await asyncio.to_thread(work, (await far.sandbox.open(argv)).socket_fd())
            seconds[name].append(time.perf_counter() - began)
            seconds[f"ssh {name}"].append(await asyncio.to_thread(_ssh, argv, name == "up"))
    median = {name: statistics.median(each) for name, each in seconds.items()}
    yield ratio_row("256 MiB from an SSH host", median["down"], median["ssh down"], "a new ssh", 1.1, unit="s")
    yield ratio_row("256 MiB to an SSH host", median["up"], median["ssh up"], "a new ssh", 1.1, unit="s")


async def _calls(far: Linked, near: Linked, rounds: int) -> AsyncIterator[Row]:
    seconds: dict[str, list[float]] = {"far": [], "near": []}
    for _ in range(rounds):
        for name, given in (("far", far), ("near", near)):
            for _ in range(CALLS):
                began = time.perf_counter()
                await unary(given.link.sessions.ListSessions, pb.ListSessionsRequest())
                seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(each) for name, each in seconds.items()}
    yield ratio_row(
        "a call over the link to an SSH host", median["far"], median["near"], "a local link", 1.5, unit="us"
    )


async def _cuts(far: Linked, rounds: int) -> AsyncIterator[Row]:
    assert far.place.server is not None
    seconds = []
    for _ in range(rounds):
        before, began = far.link.reconnects, time.perf_counter()
        far.place.server.cut()
        await until(lambda before=before: far.link.reconnects > before)
        seconds.append(time.perf_counter() - began)
        # A link that never stays up becomes patient.
        await asyncio.sleep(far.link.timing.tick)
    median = statistics.median(seconds) * 1e3
    yield Row("link to an SSH host, from the cut until it is up again", f"{median:.0f} ms", "<= 300 ms", median <= 300)


def _drain(descriptor: int | None) -> None:
    with _blocking(descriptor) as connection:
        left = SIZE
        while data := connection.recv(COPY):
            left -= len(data)
    assert left == 0


def _fill(descriptor: int | None) -> None:
    with _blocking(descriptor) as connection:
        _pieces(connection.sendall)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4) == b"done"


def _blocking(descriptor: int | None) -> socket.socket:
    assert descriptor is not None
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    return connection


def _pieces(write: Callable[[bytes], object]) -> None:
    zeros = bytes(COPY)
    for _ in range(SIZE // COPY):
        write(zeros)


def _ssh(argv: list[str], up: bool) -> float:
    config, command = Path.home() / ".ssh/config", shlex.join(argv)
    words = ["ssh", "-F", str(config), "box", command]
    began = time.perf_counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE if up else subprocess.DEVNULL, stdout=subprocess.PIPE) as peer:
        assert peer.stdout is not None
        if peer.stdin is not None:
            _pieces(peer.stdin.write)
            peer.stdin.close()
        while peer.stdout.read(COPY):
            pass
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit("run scripts/bench ssh")
