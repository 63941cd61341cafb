"""Coding agents."""

from __future__ import annotations

import typer

from rc_cli.declare.words import CodingAgent, Json, app

agent = typer.Typer(help="Coding agents.")
app.add_typer(agent, name="agent")


@agent.command("ls")
def _agent_ls(as_json: Json = False) -> int:
    """List coding agents and what is installed."""
    from rc_cli.commands.agents import ls

    return ls(as_json=as_json)


@agent.command("show")
def _agent_show(name: CodingAgent, as_json: Json = False) -> int:
    """Show one coding agent."""
    from rc_cli.commands.agents import show

    return show(name, as_json=as_json)


@agent.command("install")
def _agent_install(name: CodingAgent) -> int:
    """Install a coding agent into rc's own cache, at its pinned version."""
    from rc_cli.commands.agents import install

    return install(name)
