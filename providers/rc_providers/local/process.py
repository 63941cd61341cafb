"""The running part of a local sandbox: start its supervisor, speak to it, end every process."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from rc_protos import errors, platform
from rc_protos.model import Isolation
from rc_providers.local import ask, bubblewrap
from rc_providers.local.layout import Layout, Record, Supervisor

SUPERVISOR = Path(__file__).with_name("supervisor.py")
START_SECONDS = 20.0
END_SECONDS = 10.0
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
    try:
        asked = asyncio.to_thread(ask.start, layout.socket, layout.directory.name, words, stream)
        await asyncio.wait_for(asked, ask.SECONDS)
    except TimeoutError as error:
        raise errors.unavailable(f"the sandbox {layout.directory.name} does not answer in time") from error
