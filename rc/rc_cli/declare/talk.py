"""Talking with a coding agent and answering what it asks."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, Task, app


@app.command("say")
def _say(
    task: Task, text: Annotated[str, typer.Argument(metavar="TEXT", help="The message; - reads it from stdin.")]
) -> int:
    """Add a message; a task that is done works again."""
    from rc_cli.commands.tasks import say

    return say(task, text)


@app.command("inbox")
def _inbox(
    task: Annotated[str, typer.Argument(metavar="ID", help="Of one task only.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: Json = False,
) -> int:
    """List what waits for you."""
    from rc_cli.view.inbox import inbox

    return inbox(task, everything=everything, as_json=as_json)


Request = Annotated[str, typer.Argument(metavar="REQ|ID", help="A request, or a task that has exactly one.")]


@app.command("approve")
def _approve(request: Request) -> int:
    """Allow what a coding agent asks for, once."""
    from rc_cli.commands.tasks import respond

    return respond(request, approve=True)


@app.command("deny")
def _deny(
    request: Request,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Told to the coding agent.")] = "",
) -> int:
    """Refuse what a coding agent asks for."""
    from rc_cli.commands.tasks import respond

    return respond(request, approve=False, because=because)


@app.command("cancel")
def _cancel(task: Task) -> int:
    """End the running turn; the coding agent lives on."""
    from rc_cli.commands.tasks import cancel

    return cancel(task)
