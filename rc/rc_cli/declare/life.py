"""Ending tasks, and starting them again."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Task, Tasks, app


@app.command("stop")
def _stop(tasks: Tasks) -> int:
    """End a task's processes and keep everything."""
    from rc_cli.commands.tasks import stop

    return stop(tasks)


@app.command("resume")
def _resume(tasks: Tasks) -> int:
    """Start a task's processes again, on its transcript."""
    from rc_cli.commands.tasks import resume

    return resume(tasks)


@app.command("retry")
def _retry(task: Task) -> int:
    """Start a new task with the same definition."""
    from rc_cli.commands.tasks import retry

    return retry(task)


@app.command("move")
def _move(
    task: Task,
    on: Annotated[str, typer.Option("--on", metavar="PROVIDER", help="Where to, such as docker or ssh:HOST.")],
) -> int:
    """Move a live task to another provider: work and transcript go along, its turn goes on there."""
    from rc_cli.commands.move import move

    return move(task, on)


@app.command("rm")
def _rm(
    tasks: Tasks,
    discard: Annotated[bool, typer.Option("--discard", help="Let unmerged work go; the only way to lose it.")] = False,
) -> int:
    """Remove tasks; unmerged work is saved first, and you are told where."""
    from rc_cli.commands.tasks import remove

    return remove(tasks, discard=discard)
