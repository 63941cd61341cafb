"""Terminals, commands and ports of a sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Task, app


@app.command("attach")
def _attach(
    target: Annotated[str, typer.Argument(metavar="ID[/SESSION]", help="A task, or one session of it.")],
    native: Annotated[bool, typer.Option("--native", help="The coding agent's own TUI.")] = False,
) -> int:
    """Join the live conversation, or a session's terminal; Ctrl-] (detach_key) detaches."""
    from rc_cli.commands.attach import attach

    return attach(target, native=native)


@app.command("shell")
def _shell(
    task: Task,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Come back to the shell of this name.")] = "shell",
) -> int:
    """Open a terminal in the sandbox that lives on; Ctrl-] (detach_key) detaches."""
    from rc_cli.commands.attach import shell

    return shell(task, name)


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def _exec(
    task: Task,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="A command and its arguments.")],
) -> int:
    """Run a command in the sandbox; exit code and streams pass through."""
    from rc_cli.commands.execute import execute

    return execute(task, command)


@app.command("forward")
def _forward(
    task: Task,
    ports: Annotated[
        list[str] | None, typer.Argument(metavar="PORT[:PORT]...", help="Here:there; 0 takes any free one here.")
    ] = None,
    automatic: Annotated[bool, typer.Option("--auto", help="Also whatever begins to listen in the sandbox.")] = False,
) -> int:
    """Bring ports of the sandbox to this machine; heals after every cut."""
    from rc_cli.commands.forward import forward

    return forward(task, ports or (), automatic=automatic)


@app.command("ssh-config")
def _ssh_config(
    install: Annotated[
        bool, typer.Option("--install", help="Write it to a file of rc's, and one Include line into ~/.ssh/config.")
    ] = False,
) -> int:
    """Make tasks hosts of ssh: then ssh rc-ID, scp, sftp, rsync and git clone rc-ID:/workspace work."""
    from rc_cli.commands.ssh import config

    return config(install=install)


@app.command("ssh-proxy")
def _ssh_proxy(task: Task) -> int:
    """Speak SSH on stdin and stdout, for ssh's ProxyCommand; see rc ssh-config."""
    from rc_cli.commands.ssh import proxy

    return proxy(task)
