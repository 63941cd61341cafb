"""The daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Json, app

daemon = typer.Typer(help="The background daemon.")
app.add_typer(daemon, name="daemon")


@daemon.command("start")
def _daemon_start() -> int:
    """Start the daemon if it does not run."""
    from rc_cli.commands.machine import start

    return start()


@daemon.command("stop")
def _daemon_stop() -> int:
    """End the daemon; tasks live on."""
    from rc_cli.commands.machine import stop

    return stop()


@daemon.command("restart")
def _daemon_restart() -> int:
    """End the daemon and start this version of it; tasks live through it."""
    from rc_cli.commands.machine import restart

    return restart()


@daemon.command("status")
def _daemon_status(as_json: Json = False) -> int:
    """Show version, memory and links."""
    from rc_cli.view.daemon import status

    return status(as_json=as_json)


@daemon.command("logs")
def _daemon_logs(
    tail: Annotated[int, typer.Option("--tail", metavar="N", min=1, help="The last N lines.")] = 50,
) -> int:
    """Print the daemon's log."""
    from rc_cli.commands.machine import log

    return log(tail)
