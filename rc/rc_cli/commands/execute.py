"""`rc exec`: a command in the sandbox, its streams and its exit code as if it ran here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.errors import precondition, unavailable, usage
from rc_protos.model import ExitStatus

if TYPE_CHECKING:
    from rc_client.client import DaemonClient
    from rc_client.session import AttachedSession

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PIECE = 1 << 16


def execute(task: str, command: Sequence[str]) -> int:
    """Run it; its exit code, or 128 + the signal that ended it."""
    words = list(command[1:] if command[:1] == ["--"] else command)
    if not words:
        raise usage("there is no command", f"such as: rc exec {task} -- ls -la")
    return with_client(lambda client: _execute(client, task, words))


async def _execute(client: DaemonClient, name: str, words: list[str]) -> int:
    task = await client.get_task(name)
    if not task.sandbox_id:
        raise precondition(f"{task.name} has no sandbox yet", f"see: rc show {task.name}")
    return await run_in(client, task.sandbox_id, words)


async def run_in(client: DaemonClient, sandbox_id: str, words: Sequence[str], *, stdin: bool = True) -> int:
    """Run a command in a sandbox, its output ours; `stdin`: hand our input over."""
    from rc_client.session import AttachedSession

    session_id = ids.new_id()
    argv = [os.fsencode(word) for word in words]
    await client.open_session(sandbox_id, session_id, name="exec", kind="exec", argv=argv)
    session = AttachedSession(client, sandbox_id, session_id)
    loop = asyncio.get_running_loop()
    async with Background("exec") as background:

        def forward(number: int) -> None:
            background.spawn(client.signal_session(sandbox_id, session_id, number), "signal")

        for number in FORWARDED:
            loop.add_signal_handler(number, forward, number)
        if stdin:
            background.spawn(_feed(session), "stdin")
        else:
            session.end_input()
        try:
            status = await _drain(session)
        except BrokenPipeError:
            # Nobody reads on: a command that would print for ever ends, as it would in a pipe.
            await client.close_session(sandbox_id, session_id)
            raise
        finally:
            await session.close()
    if status.lost:
        raise unavailable(f"the command's end is not known: {status.lost}", "see: rc daemon status")
    return status.code


async def _drain(session: AttachedSession) -> ExitStatus:
    from rc_client.session import Ended

    async for item in session.output(hold=True):
        if isinstance(item, Ended):
            return item.status
        stream = sys.stderr if item.stream == "err" else sys.stdout
        # A reader that is slow holds only us.
        await asyncio.to_thread(_put, stream.fileno(), item.data)
    return ExitStatus(lost="the daemon hung up")


async def _feed(session: AttachedSession) -> None:
    """What comes on stdin to the process, and its end."""
    loop = asyncio.get_running_loop()
    if sys.stdin is None or sys.stdin.closed:
        session.end_input()
        return
    ready = asyncio.Event()
    try:
        loop.add_reader(0, ready.set)
    except (PermissionError, OSError):
        # A regular file, or /dev/null: always ready.
        while data := await asyncio.to_thread(os.read, 0, PIECE):
            await session.write(data)
        session.end_input()
        return
    try:
        while True:
            await ready.wait()
            ready.clear()
            data = os.read(0, PIECE)
            if not data:
                break
            await session.write(data)
    finally:
        loop.remove_reader(0)
    session.end_input()


def _put(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
