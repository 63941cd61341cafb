"""The help texts of the `rc` commands and docs/cli.md, from the Typer app that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main
from typer.core import TyperArgument
from rc_cli.app import app
from tables import MADE

WIDTH = 88


def usage_name(argument: TyperArgument) -> str:
    """How an argument shows in the usage line: ID, [ID], ID..."""
    name = argument.display_name_raw
    return name if argument.required else f"[{name}]"


# Typer writes {ID} and ID <str>; we write what every manual does.
TyperArgument._usage_display_name = usage_name  # type: ignore[method-assign]
TyperArgument.display_type_rich = lambda *_, **__: None  # type: ignore[method-assign]


@cache
def contexts() -> dict[str, Any]:
    """The click context of every visible command, by its words: "rc", "rc run", "rc daemon start"."""
    root = typer.main.get_command(app)
    return dict(walk(root, "rc", None))


def walk(command: Any, words: str, parent: Any) -> Iterator[tuple[str, Any]]:
    """A command, then those below it, in the order of their declaration."""
    context = command.context_class(
        command,
        info_name=words.rsplit(maxsplit=1)[-1],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield words, context
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from walk(below, f"{words} {name}", context)


def names() -> list[str]:
    """The commands that do something: groups only hold others."""
    return [words for words, context in contexts().items() if not getattr(context.command, "commands", None)]


def help_texts() -> dict[str, str]:
    """What `--help` shows, by file name: "rc", "run", "daemon-start"."""
    return {(words.removeprefix("rc ").replace(" ", "-")): help_text(context) for words, context in contexts().items()}


def help_text(context: Any) -> str:
    """Plain text: generated once, it needs no terminal to be laid out for."""
    context.command.rich_markup_mode = None
    return str(context.command.get_help(context)).rstrip() + "\n"


def page() -> str:
    """docs/cli.md: every command's help."""
    parts = [
        f"{MADE}# The command line\n\nExit codes are in [errors.md](errors.md), settings in [config.md](config.md).\n"
    ]
    parts += [f"## {words}\n\n```\n{help_text(context)}```\n" for words, context in contexts().items()]
    return "\n".join(parts)
