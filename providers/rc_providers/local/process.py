"""The running part of a local sandbox: start its supervisor, speak to it, end every process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from rc_protos import errors, platform
from rc_protos.model import Isolation
from rc_providers.local import bubblewrap
from rc_providers.local.layout import Layout, Record, Supervisor

SUPERVISOR = Path(__file__).with_name("supervisor.py")
START_SECONDS = 20.0
REQUEST_SECONDS = 20.0
END_SECONDS = 10.0
ANSWER_MOST = 65536
NOBODY = Supervisor(0, "", 0, "", False)


def running(layout: Layout) -> bool:
    """Whether the supervisor that was recorded runs."""
    recorded = layout.supervisor()
    return recorded is not None and platform.alive(recorded.pid, recorded.started)


def launch(layout: Layout, record: Record) -> None:
    """Start the supervisor and write down who it is before it serves. Blocks; raises unavailable or precondition."""
    isolated = record.isolation == Isolation.BUBBLEWRAP
    ours, theirs = platform.pair_with_pids()
    with ours:
        with theirs:
            if isolated:
                argv = bubblewrap.command(layout, record, SUPERVISOR, theirs.fileno())
                environment = {"PATH": os.environ["PATH"]}
            else:
                python = bubblewrap.python()
                argv = [python, "-I", "-S", str(SUPERVISOR), str(layout.state), str(theirs.fileno()), "open"]
                environment = layout.environment(record, python)
            layout.start_log.unlink(missing_ok=True)
            child = platform.spawn_detached(argv, environment, layout.start_log, keep=[theirs.fileno()])
        ours.settimeout(START_SECONDS)
        said, pid = b"", 0
        with suppress(OSError):
            said, pid = platform.receive_with_pid(ours, 100)
        if not said:
            _give_up(layout, record, child)
        pid = pid or child
        within_reach = b"abstract" in said
        layout.record_supervisor(
            Supervisor(pid, platform.start_time(pid), child, platform.start_time(child), within_reach)
        )
        # From here on somebody can end it. Had we died before, it would have ended itself.
        ours.sendall(b"\n")


def _give_up(layout: Layout, record: Record, child: int) -> NoReturn:
    for pid in (child, *platform.descendants(child)):
        platform.kill(pid)
    platform.wait_gone(child, platform.start_time(child), 1.0)
    if record.isolation == Isolation.BUBBLEWRAP:
        bubblewrap.check()
    lines = platform.read_end(layout.start_log, 2000).decode("utf-8", "replace").strip().splitlines()
    reason = " / ".join(lines[-3:]) or "it said nothing"
    raise errors.unavailable(f"the sandbox {record.tag} does not start: {reason}", "see: rc doctor")


def end(layout: Layout, record: Record) -> None:
    """Kill every process of the sandbox, whatever they do; blocks until they are gone. Raises timeout."""
    recorded = layout.supervisor() or NOBODY
    if record.isolation != Isolation.BUBBLEWRAP:
        _end_tree(recorded, record.tag)
    if platform.alive(recorded.pid, recorded.started):
        # Under bubblewrap it is pid 1 of its namespace: the kernel ends the rest with it.
        platform.kill(recorded.pid)
    for pid, started in ((recorded.pid, recorded.started), (recorded.child, recorded.child_started)):
        if not platform.wait_gone(pid, started, END_SECONDS):
            raise errors.timeout(f"process {pid} of the sandbox {record.tag} does not end", "see: rc daemon logs")
    layout.forget_supervisor()


def _end_tree(recorded: Supervisor, tag: str) -> None:
    """Without a namespace: everything below the supervisor, and whatever carries the sandbox's mark."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        below = platform.descendants(recorded.pid) if platform.alive(recorded.pid, recorded.started) else []
        marked = [pid for pid in platform.with_environment(f"RC_SANDBOX={tag}") if pid != recorded.pid]
        doomed = [pid for pid in {*below, *marked} if platform.start_time(pid)]
        if not doomed:
            break
        for pid in doomed:
            platform.kill(pid)
        time.sleep(0.005)


async def request(layout: Layout, argv: Sequence[str], stream: socket.socket) -> None:
    """Have the supervisor start `argv` with `stream` as stdin and stdout; raises unavailable or not_found."""
    words = [os.fsencode(word) for word in argv]
    if not words or any(b"\0" in word for word in words):
        raise errors.usage("a command is at least one word, and no word holds a zero byte")
    try:
        refusal = await asyncio.wait_for(asyncio.to_thread(_ask, layout, words, stream), REQUEST_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise errors.unavailable(f"the sandbox {layout.directory.name} does not answer: {error}") from error
    if refusal:
        raise errors.not_found(f"cannot run {argv[0]} in the sandbox: {refusal}")


def _ask(layout: Layout, argv: list[bytes], stream: socket.socket) -> str:
    with _dial(layout) as connection:
        body = b"\0".join(argv)
        message = struct.pack("!I", len(body)) + body
        sent = socket.send_fds(connection, [message], [stream.fileno()])
        if sent < len(message):
            # Even an empty send fails once the supervisor has answered and hung up.
            connection.sendall(message[sent:])
        return _answer(connection).decode("utf-8", "replace").strip()


def _answer(connection: socket.socket) -> bytes:
    """One line; what runs inside may have taken the supervisor's place, so it gets neither memory nor time."""
    deadline = time.monotonic() + REQUEST_SECONDS
    answer = b""
    while not answer.endswith(b"\n"):
        more = connection.recv(4096)
        if not more or len(answer) > ANSWER_MOST or time.monotonic() > deadline:
            raise ValueError("the supervisor hung up" if not more else "the supervisor does not end its answer")
        answer += more
    return answer


def _dial(layout: Layout) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(REQUEST_SECONDS)
    try:
        with platform.socket_itself(layout.socket) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
