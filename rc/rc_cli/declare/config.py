"""Settings."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, Key, app

config = typer.Typer(help="Settings and where they come from.")
app.add_typer(config, name="config")


@config.command("show")
def _config_show(
    origin: Annotated[bool, typer.Option("--origin", help="Where each value comes from.")] = False,
    as_json: Json = False,
) -> int:
    """Print the settings that hold here."""
    from rc_cli.commands.settings import show

    return show(origin=origin, as_json=as_json)


@config.command("get")
def _config_get(key: Key) -> int:
    """Print one setting."""
    from rc_cli.commands.settings import get

    return get(key)


@config.command("set")
def _config_set(key: Key, value: Annotated[str, typer.Argument(metavar="VALUE", help="As text.")]) -> int:
    """Write one setting into rc's own file."""
    from rc_cli.commands.settings import put

    return put(key, value)
