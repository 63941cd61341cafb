"""Providers."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, app

provider = typer.Typer(help="Where tasks run.")
app.add_typer(provider, name="provider")
Place = Annotated[str, typer.Argument(metavar="PROVIDER", help="Such as ssh:build-box.")]


@provider.command("ls")
def _provider_ls(as_json: Json = False) -> int:
    """List the providers there are."""
    from rc_cli.commands.providers import ls

    return ls(as_json=as_json)


@provider.command("show")
def _provider_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A provider; see rc provider ls.")], as_json: Json = False
) -> int:
    """Show what a provider can do, and its options."""
    from rc_cli.commands.providers import show

    return show(name, as_json=as_json)


@provider.command("verify")
def _provider_verify(
    place: Place,
    option: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", metavar="NAME=VALUE", help="A setting of the provider; may be repeated."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Do it even where it costs money.")] = False,
    max_cost: Annotated[float, typer.Option("--max-cost", metavar="USD", min=0, help="What it may cost.")] = 0.0,
) -> int:
    """Make sandboxes in a place and see whether all holds that rc relies on; 1 if something does not."""
    from rc_cli.commands.providers import verify

    return verify(place, option or [], live=live, max_cost=max_cost)


@provider.command("add")
def _provider_add(
    place: Place,
    accept_key: Annotated[
        str,
        typer.Option("--accept-key", metavar="FINGERPRINT", help="SHA256:... of the host key to accept."),
    ] = "",
) -> int:
    """See that tasks can run in a place, and accept its host key."""
    from rc_cli.commands.providers import add

    return add(place, accept_key)


@provider.command("rm")
def _provider_rm(place: Place) -> int:
    """Forget the host keys that were accepted of a place."""
    from rc_cli.commands.providers import rm

    return rm(place)
