"""`rc demo`: a whole task without any account."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rc_cli.commands.follow import Follower
from rc_cli.credentials import present
from rc_cli.loop import with_client
from rc_cli.view.text import clean, coloured, one_line, paint
from rc_client.start import ensure
from rc_protos import ids
from rc_protos.config import load
from rc_protos.errors import ErrorCode, RemoteClaudeError, usage
from rc_protos.model import Isolation, Task, TaskSpec

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

AGENT, CLAUDE = "demo", "claude"


def demo(directory: str | None, *, yes: bool) -> int:
    """Make the repository, run the task, show what came of it."""
    from rc_demo.repository import PROMPT, make_demo_repository

    ensure()
    place = Path(directory).absolute() if directory else Path(tempfile.mkdtemp(prefix="rc-demo-")) / "basket"
    try:
        make_demo_repository(place)
    except FileExistsError:
        raise usage(f"{place} exists already", "name a directory that does not exist") from None
    except OSError as error:
        raise usage(f"the demo repository cannot be made: {error}") from None
    _say(f"A small repository with a failing test: {place}")
    return with_client(lambda client: _demo(client, place, PROMPT, yes))


async def _demo(client: DaemonClient, place: Path, prompt: str, yes: bool) -> int:
    spec = TaskSpec(prompt=prompt, name="", coding_agent=await _choose(client), repository=str(place))
    _say(f'rc run --agent {spec.coding_agent} "{prompt}"')
    task, notices = await _create(client, spec)
    for notice in notices:
        sys.stderr.write(f"— {clean(notice)}\n")
    answer = None if sys.stdin.isatty() and sys.stderr.isatty() and not yes else _approve
    code = await Follower(client, task, answer=answer, hints=False).follow()
    if code:
        sys.stderr.write(f"— see: rc show {task.name}\n")
        return code
    _say(f"rc diff {task.name}")
    sys.stdout.flush()
    async for chunk in client.diff_task(task.id, color=coloured()):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    code = await _test(client, task)
    _next(task, place)
    return code


async def _choose(client: DaemonClient) -> str:
    """Claude Code where it could work, if the person wants it; else the scripted one."""
    if not present() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return AGENT
    found = {each.name: each for each in await client.list_coding_agents()}
    if CLAUDE not in found or not found[CLAUDE].installed:
        return AGENT
    sys.stderr.write("  Credentials for Claude Code are here. Let it do the work (it costs a few cents)? [y/N] ")
    sys.stderr.flush()
    return CLAUDE if sys.stdin.readline().strip().lower() in ("y", "yes") else AGENT


async def _create(client: DaemonClient, spec: TaskSpec) -> tuple[Task, list[str]]:
    """Isolated where that works; the demo's code is ours, so it may go without, and says so."""
    once = ids.new_id()
    try:
        return await client.create_task(spec, credentials=present(), request_id=once, directory=spec.repository)
    except RemoteClaudeError as error:
        if error.code is not ErrorCode.PRECONDITION or spec.coding_agent != AGENT:
            raise
        sys.stderr.write(f"— {clean(error.message)}\n  {clean(error.hint)}\n")
        sys.stderr.write("— the demo goes on without isolation: its code is rc's own\n")
        from dataclasses import replace

        open_ = replace(spec, isolation=Isolation.NONE)
        return await client.create_task(open_, request_id=ids.new_id(), directory=spec.repository)


async def _test(client: DaemonClient, task: Task) -> int:
    """The repository's own tests, in the sandbox, after the work."""
    from rc_cli.commands.execute import run_in

    _say(f"rc exec {task.name} -- python3 -m unittest")
    sandbox = (await client.get_task(task.id)).sandbox_id
    return await run_in(client, sandbox, ["python3", "-m", "unittest"], stdin=False)


def _approve(payload: dict[str, Any]) -> bool:
    sys.stderr.write(f"— approved for you, as this is the demo: {one_line(str(payload.get('title', '')))}\n")
    return True


def _next(task: Task, place: Path) -> None:
    home = os.path.relpath(place) if place.is_relative_to(Path.cwd()) else str(place)
    name, key = task.name, load()["detach_key"].capitalize()
    lines = (
        *_reachable(),
        (f"cd {shlex.quote(home)}", ""),
        (f"rc show {name}", "what rc knows of the task"),
        (f"rc shell {name}", f"a terminal in its sandbox; {key} leaves it"),
        (f'rc say {name} "..."', "say something; a script will answer"),
        (f"rc apply {name}", "take the work into the working tree"),
        (f"rc rm {name}", "remove the task; unmerged work is saved first"),
        ('rc run "..."', "in a repository of yours, with Claude Code"),
    )
    wide = max(len(command) for command, what in lines if what)
    sys.stderr.write("\nTry next:\n" + "".join(f"  {each:{wide}}  {what}".rstrip() + "\n" for each, what in lines))


def _reachable() -> tuple[tuple[str, str], ...]:
    """The line that makes `rc` a command in the shell of somebody who started it from a checkout."""
    launcher = Path(__file__).resolve().parents[3] / "scripts/rc"
    return ((f"alias rc={shlex.quote(str(launcher))}", ""),) if launcher.exists() and not shutil.which("rc") else ()


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(paint(f"\n$ {text}\n" if text.startswith("rc ") else f"{text}\n", "1"))
    sys.stderr.flush()
