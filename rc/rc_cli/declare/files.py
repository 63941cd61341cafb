"""Files of a task's sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, Task, app

file = typer.Typer(help="Files of a task's sandbox.")

Path = Annotated[str, typer.Argument(metavar="PATH", help="Relative ones start at the workspace.")]
Folder = Annotated[str, typer.Argument(metavar="PATH", help="A folder; none: the workspace.")]
Outside = Annotated[bool, typer.Option("--outside", help="The path may leave the workspace.")]


@app.command("cp")
def _cp(
    places: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE... TARGET", help="ID:PATH is in a task's sandbox, the rest on this machine."),
    ],
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Folders too.")] = False,
    outside: Outside = False,
) -> int:
    """Copy files into a task's sandbox or out of it; one that was cut goes on when it is run again."""
    from rc_cli.commands.copy import copy

    return copy(places, recursive=recursive, outside=outside)


@app.command("edit")
def _edit(task: Task, path: Path, outside: Outside = False) -> int:
    """Edit a file of the sandbox with $EDITOR; if it changed meanwhile, both are kept and you are told."""
    from rc_cli.commands.edit import edit

    return edit(task, path, outside=outside)


app.add_typer(file, name="file")


@file.command("ls")
def _file_ls(
    task: Task,
    path: Folder = "",
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Everything below it.")] = False,
    long: Annotated[bool, typer.Option("-l", "--long", help="Modes, sizes, times and where links lead.")] = False,
    outside: Outside = False,
    as_json: Json = False,
) -> int:
    """List a folder."""
    from rc_cli.commands.files import ls

    return ls(task, path, recursive=recursive, long=long, pattern="", outside=outside, as_json=as_json)


@file.command("find")
def _file_find(
    task: Task,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Such as '*.py', or with a slash 'src/*.py'.")],
    path: Folder = "",
    outside: Outside = False,
    as_json: Json = False,
) -> int:
    """Find files by their names."""
    from rc_cli.commands.files import ls

    return ls(task, path, recursive=True, long=False, pattern=pattern, outside=outside, as_json=as_json)


@file.command("cat")
def _file_cat(task: Task, path: Path, outside: Outside = False) -> int:
    """Print a file."""
    from rc_cli.commands.files import cat

    return cat(task, path, outside=outside)


@file.command("write")
def _file_write(
    task: Task,
    path: Path,
    parents: Annotated[bool, typer.Option("-p", "--parents", help="Make its folders.")] = False,
    outside: Outside = False,
) -> int:
    """Write what comes on stdin, in one step."""
    from rc_cli.commands.files import write

    return write(task, path, parents=parents, outside=outside)


@file.command("watch")
def _file_watch(
    task: Task,
    path: Folder = "",
    poll: Annotated[bool, typer.Option("--poll", help="Look every second, where changes are not told.")] = False,
    outside: Outside = False,
    as_json: Json = False,
) -> int:
    """Print changes below a folder as they happen, except what git ignores."""
    from rc_cli.commands.files import watch

    return watch(task, path, poll=poll, outside=outside, as_json=as_json)
