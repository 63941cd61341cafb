"""attach and shell: the live conversation, or a terminal in the sandbox."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from rc_cli.commands.follow import Follower
from rc_cli.commands.talk import Talk
from rc_cli.credentials import present
from rc_cli.loop import with_client
from rc_cli.terminal import Terminal, terminal_size
from rc_cli.view.text import clean
from rc_protos import ids
from rc_protos.errors import not_found, precondition, usage
from rc_protos.model import Session, Task

if TYPE_CHECKING:
    from rc_client.client import DaemonClient


def attach(target: str, *, native: bool) -> int:
    """Join a conversation, a session, or the coding agent's own TUI."""
    name, slash, session = target.partition("/")
    if native and slash:
        raise usage("--native goes with a task, not with a session")
    return with_client(lambda client: _attach(client, name, session if slash else "", native))


def shell(task: str, name: str) -> int:
    """A shell of this name, made if there is none."""
    return with_client(lambda client: _shell(client, task, name))


async def _attach(client: DaemonClient, name: str, session: str, native: bool) -> int:
    task = await client.get_task(name)
    if native:
        _need_terminal("rc attach --native")
        if not task.state.settled:
            why = f" {clean(task.reason)}" if task.reason else ""
            sys.stderr.write(f"— {task.name} is {task.state}{why}; the TUI opens when the turn ends (Ctrl-C leaves)\n")
        sandbox_id, session_id = await client.open_native(
            task.id, terminal_size(), os.environ.get("TERM", "xterm-256color"), credentials=present()
        )
        terminal = Terminal(client, sandbox_id, session_id, f"rc attach {task.name} --native")
        code = await terminal.run()
        if terminal.detached:
            await client.close_session(sandbox_id, session_id)
        return code
    if session:
        found = await _find_session(client, task, session)
        if not found.pty:
            return await _copy(client, task.sandbox_id, found.id)
        _need_terminal("rc attach to a terminal")
        return await Terminal(client, task.sandbox_id, found.id, f"rc attach {task.name}/{session}").run()
    if sys.stdin.isatty() and sys.stdout.isatty():
        return await Talk(client, task).run()
    return await Follower(client, task).follow()


async def _shell(client: DaemonClient, name: str, shell_name: str) -> int:
    task = await client.get_task(name)
    _need_terminal("rc shell")
    if not task.sandbox_id:
        raise precondition(f"{task.name} has no sandbox yet", f"see: rc show {task.name}")
    sessions = await client.list_sessions(task.sandbox_id)
    open_ = [each for each in sessions if each.name == shell_name and each.kind == "shell" and not each.ended]
    if open_:
        session_id = open_[-1].id
    else:
        session_id = ids.new_id()
        size = terminal_size()
        await client.open_session(
            task.sandbox_id,
            session_id,
            name=shell_name,
            kind="shell",
            argv=[b"/bin/sh", b"-c", b'exec "${SHELL:-/bin/sh}" -l'],
            environment={"TERM": os.environ.get("TERM", "xterm-256color").encode()},
            pty=True,
            size={"columns": size.columns, "rows": size.rows},
        )
    back = f"rc shell {task.name}" + (f" --name {shell_name}" if shell_name != "shell" else "")
    return await Terminal(client, task.sandbox_id, session_id, back).run()


async def _find_session(client: DaemonClient, task: Task, word: str) -> Session:
    found = [
        each for each in await client.list_sessions(task.sandbox_id) if each.name == word or each.id.startswith(word)
    ]
    living = [each for each in found if not each.ended] or found
    if not living:
        raise not_found(f"{task.name} has no session {word!r}", f"open a terminal with: rc shell {task.name}")
    return living[-1]


async def _copy(client: DaemonClient, sandbox_id: str, session_id: str) -> int:
    """A session on pipes is shown, not typed into."""
    from rc_client.session import AttachedSession, Ended

    session = AttachedSession(client, sandbox_id, session_id)
    async for item in session.output():
        if isinstance(item, Ended):
            return item.status.code
        stream = sys.stderr.buffer if item.stream == "err" else sys.stdout.buffer
        await asyncio.to_thread(stream.write, item.data)
        stream.flush()
    return 0


def _need_terminal(what: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise usage(f"{what} needs a terminal", "for scripts there is: rc exec ID -- CMD")
