"""Commands, shells and SFTP of an SSH client as sessions of the sandbox."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

from rc_client.client import DaemonClient
from rc_client.connection import connect
from rc_client.session import AttachedSession, Ended, Output
from rc_protos import errors, ids
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import ExitStatus, Task
from rc_ssh.channel import Channel

# As sshd: what says that the connection failed, and not the command.
FAILED = 255
PIECE = 1 << 16
_SHELL = 'exec "${SHELL:-/bin/sh}"'
# The program comes as input: nobody wants to see it in a list of processes.
_PROGRAM = (b"python3", b"-c", b"import sys; exec(compile(sys.stdin.read(), 'rc-sftp', 'exec'))")


async def run(client: DaemonClient, name: str, channel: Channel) -> None:
    """Do what the client has asked for, and tell it how that ended."""
    try:
        task = await client.get_task(name)
        if not task.sandbox_id:
            raise errors.precondition(f"{task.name} has no sandbox yet", f"see: rc show {task.name}")
        status = await (_sftp(client, task, channel) if channel.sftp else _command(client, task, channel))
        if status.lost:
            raise errors.unavailable(f"the command's end is not known: {status.lost}", "see: rc daemon status")
    except RemoteClaudeError as error:
        hint = f"\r\n    {error.hint}" if error.hint else ""
        channel.write_error(f"rc: {error.message}{hint}\r\n".encode())
        status = ExitStatus(FAILED)
    except ConnectionError:
        return
    if status.signal:
        channel.exit_by_signal(signal.Signals(status.signal).name.removeprefix("SIG"))
    else:
        channel.exit(status.code)


async def _command(client: DaemonClient, task: Task, channel: Channel) -> ExitStatus:
    """In the user's shell, as sshd does it."""
    session_id = ids.new_id()
    size, command = channel.size, channel.command
    argv = [f"{_SHELL} -l"] if command is None else [f'{_SHELL} -c "$1"', "sh", command]
    await client.open_session(
        task.sandbox_id,
        session_id,
        name="ssh",
        kind="exec" if command else "shell",
        argv=[b"/bin/sh", b"-c", *[word.encode() for word in argv]],
        environment=channel.environment,
        pty=size is not None,
        size={"columns": size.columns, "rows": size.rows} if size else None,
    )
    session = AttachedSession(client, task.sandbox_id, session_id)
    async with Background("ssh") as background:
        channel.on_resize = lambda new: background.spawn(session.resize(new), "resize")
        channel.on_signal = lambda name: background.spawn(_signal(client, session, name), "signal")
        background.spawn(_feed(channel, session), "input")
        output = background.spawn(_show(session, channel), "output")
        gone = background.spawn(channel.closed.wait(), "gone")
        try:
            await asyncio.wait({output, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not output.done():
                # As a terminal that is closed: the command ends with its connection.
                output.cancel()
                await client.close_session(task.sandbox_id, session_id)
                raise ConnectionResetError
            return output.result()
        finally:
            await session.close()


async def _feed(channel: Channel, session: AttachedSession) -> None:
    while data := await channel.read(PIECE):
        await session.write(data)
    if not channel.closed.is_set():
        session.end_input()


async def _show(session: AttachedSession, channel: Channel) -> ExitStatus:
    async for item in session.output(hold=True):
        if isinstance(item, Ended):
            return item.status
        (channel.write_error if item.stream == "err" else channel.write)(item.data)
        await channel.drain()
    return ExitStatus(lost="the daemon hung up")


async def _signal(client: DaemonClient, session: AttachedSession, name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is not None:
        # One that comes after the end is for nobody.
        with suppress(RemoteClaudeError):
            await client.signal_session(session.sandbox_id, session.session_id, number)


async def _sftp(client: DaemonClient, task: Task, channel: Channel) -> ExitStatus:
    """The bytes go beside the session: it would log them."""
    session_id = ids.new_id()
    await client.open_session(task.sandbox_id, session_id, name="sftp", kind="exec", argv=_PROGRAM)
    session = AttachedSession(client, task.sandbox_id, session_id)
    try:
        await session.write((Path(__file__).parent / "sftp_inside.py").read_bytes())
        session.end_input()
        connection = await connect(client, task.id, f"unix:{await _socket(session)}")
        try:
            await connection.carry(channel, channel)
        finally:
            connection.close()
        return ExitStatus()
    finally:
        await session.close()
        if channel.closed.is_set():
            with suppress(RemoteClaudeError):
                await client.close_session(task.sandbox_id, session_id)


async def _socket(session: AttachedSession) -> str:
    """Where the program in the sandbox waits for us."""
    printed = {"out": b"", "err": b""}
    async for item in session.output():
        if isinstance(item, Output):
            printed[item.stream] += item.data
            if printed["out"].endswith(b"\n"):
                return printed["out"].decode().strip()
    words = printed["err"].decode("utf-8", "replace").strip().splitlines() or ["it ended at once"]
    raise errors.unavailable(f"files cannot be served in the sandbox: {words[-1]}", "SFTP needs python3 there")
