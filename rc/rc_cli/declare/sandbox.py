"""Sandboxes."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Follow, Json, app

sandbox = typer.Typer(help="What tasks run in, and what nobody wants any more.")
app.add_typer(sandbox, name="sandbox")
Sandbox = Annotated[
    str,
    typer.Argument(metavar="SANDBOX", help="Its id or any unique beginning of that, or the name of its task."),
]


@sandbox.command("ls")
def _sandbox_ls(as_json: Json = False) -> int:
    """List every sandbox that providers find by rc's tags."""
    from rc_cli.commands.sandboxes import ls

    return ls(as_json=as_json)


@sandbox.command("show")
def _sandbox_show(which: Sandbox, as_json: Json = False) -> int:
    """Show one sandbox and the last lines of its log."""
    from rc_cli.commands.sandboxes import show

    return show(which, as_json=as_json)


@sandbox.command("start")
def _sandbox_start(which: Sandbox) -> int:
    """Bring back a stopped sandbox that belongs to no task."""
    from rc_cli.commands.sandboxes import start

    return start(which)


@sandbox.command("stop")
def _sandbox_stop(which: Sandbox) -> int:
    """End the processes of a sandbox that belongs to no task."""
    from rc_cli.commands.sandboxes import stop

    return stop(which)


@sandbox.command("rm")
def _sandbox_rm(
    which: Sandbox,
    discard: Annotated[bool, typer.Option("--discard", help="Do not save its workspace.")] = False,
) -> int:
    """Remove a sandbox that belongs to no task, its workspace saved first."""
    from rc_cli.commands.sandboxes import rm

    return rm(which, discard=discard)


@sandbox.command("stats")
def _sandbox_stats(
    which: Annotated[
        str, typer.Argument(metavar="[SANDBOX]", help="As in rc sandbox show; all that are connected if there is none.")
    ] = "",
    follow: Follow = False,
    as_json: Json = False,
) -> int:
    """Show what sandboxes use: processors, memory, processes, disk."""
    from rc_cli.commands.stats import stats

    return stats(which, follow=follow, as_json=as_json)


@sandbox.command("adopt")
def _sandbox_adopt(which: Sandbox) -> int:
    """Make a sandbox yours that no task, or another installation, has left."""
    from rc_cli.commands.sandboxes import adopt

    return adopt(which)
