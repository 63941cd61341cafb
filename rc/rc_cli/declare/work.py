"""The work of a task."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Task, app


@app.command("diff")
def _diff(
    task: Task, stat: Annotated[bool, typer.Option("--stat", help="Only which files, and how much.")] = False
) -> int:
    """Show a task's work as a patch."""
    from rc_cli.commands.work import diff

    return diff(task, stat=stat)


@app.command("apply")
def _apply(task: Task) -> int:
    """Put a task's work into this working tree; a conflict changes nothing."""
    from rc_cli.commands.work import apply

    return apply(task)


@app.command("fetch")
def _fetch(
    task: Task,
    branch: Annotated[str, typer.Option("--branch", metavar="NAME", help="Another name than the task's.")] = "",
) -> int:
    """Bring a task's work into this repository as a local branch."""
    from rc_cli.commands.work import fetch

    return fetch(task, branch)
