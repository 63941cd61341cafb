"""The fast path takes the same flags as the Typer commands, under the same names."""

from __future__ import annotations

import typer.main

from rc_cli import fast
from rc_cli.app import app


def test_every_flag_is_declared_by_the_command_of_the_same_name() -> None:
    for words, flags, _, _ in fast._COMMANDS:
        if words == ("__complete",):
            continue
        command = typer.main.get_command(app)
        for word in words:
            command = command.commands[word]  # type: ignore[attr-defined]
        known = {flag: each for each in command.params for flag in each.opts}
        for flag, (_, wants, repeated) in flags.items():
            assert flag in known, f"{words}: {flag}"
            assert known[flag].is_flag is not wants, f"{words}: {flag}"  # type: ignore[attr-defined]
            assert known[flag].multiple is repeated, f"{words}: {flag}"  # type: ignore[attr-defined]
