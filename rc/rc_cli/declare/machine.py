"""Checks of the machine, cleaning, the demo, completion."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, app


@app.command("doctor")
def _doctor(as_json: Json = False) -> int:
    """Check this machine, with the remedy for what is wrong."""
    from rc_cli.commands.machine import doctor

    return doctor(as_json=as_json)


@app.command("gc")
def _gc(dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False) -> int:
    """Free the disk of what retention lets go."""
    from rc_cli.commands.machine import collect

    return collect(dry_run=dry_run)


@app.command("demo")
def _demo(
    directory: Annotated[str | None, typer.Argument(metavar="DIRECTORY", help="Where to make the repository.")] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Approve without asking.")] = False,
) -> int:
    """See a whole task, without any account, by a scripted coding agent."""
    from rc_cli.commands.demo import demo

    return demo(directory, yes=yes)


@app.command("completion")
def _completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish")]) -> int:
    """Print a shell's completion script."""
    from rc_cli.commands.completion import completion

    return completion(shell)
