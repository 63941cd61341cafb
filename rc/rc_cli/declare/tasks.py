"""Starting tasks and seeing them."""

from __future__ import annotations

from typing import Annotated

import typer

from rc_cli.declare.words import Follow, Json, Since, Tail, Task, Tasks, app


@app.command("run")
def _run(
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help="What to do; - reads it from stdin.")] = None,
    file: Annotated[
        str | None, typer.Option("-F", "--file", metavar="FILE", help="Read the prompt from a file.")
    ] = None,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Print the task's id and return.")] = False,
    agent_: Annotated[str, typer.Option("--agent", metavar="NAME", help="The coding agent: claude, demo.")] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The task's name; none: made from the prompt.")
    ] = "",
    repo: Annotated[str, typer.Option("--repo", metavar="URL[@REF]", help="Another repository than this one.")] = "",
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="Start from this branch, tag or commit.")] = "",
    dirty: Annotated[bool, typer.Option("--dirty", help="Take uncommitted and untracked files along.")] = False,
    on: Annotated[str, typer.Option("--on", metavar="PROVIDER", help="Where to run: local, docker, ...")] = "",
    option: Annotated[
        list[str] | None,
        typer.Option("-o", "--option", metavar="NAME=VALUE", help="A setting of the provider; may be repeated."),
    ] = None,
    isolation: Annotated[
        str, typer.Option("--isolation", metavar="KIND", help="bubblewrap or none (local tasks).")
    ] = "",
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="ask, edits, auto or plan.")] = "",
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="The model the coding agent uses.")] = "",
    timeout: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=0, help="Stop after that time; 0: never.")
    ] = 0,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="Try again so often when the sandbox fails.")
    ] = 0,
    as_json: Json = False,
) -> int:
    """Start a task in this repository and follow it until it is done."""
    from rc_cli.commands.run import run_task

    return run_task(
        prompt,
        detach=detach,
        as_json=as_json,
        file=file,
        agent=agent_,
        name=name,
        repo=repo,
        ref=ref,
        dirty=dirty,
        on=on,
        options=option or [],
        isolation=isolation,
        mode=mode,
        model=model,
        timeout=timeout,
        retries=retries,
    )


@app.command("ls")
def _ls(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print ids only.")] = False,
    everything: Annotated[bool, typer.Option("-a", "--all", help="Removed tasks too.")] = False,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", metavar="KEY=VALUE", help="state, name, agent, provider, ...")
    ] = None,
    template: Annotated[str, typer.Option("--format", metavar="TEXT", help="Such as '{name} {state}'.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Go on as things happen.")] = False,
    as_json: Json = False,
) -> int:
    """List tasks."""
    from rc_cli.commands.watch import watch_tasks
    from rc_cli.view.tasks import ls

    if watch:
        return watch_tasks(filters or [], everything=everything)
    return ls(quiet=quiet, everything=everything, filters=filters, template=template, as_json=as_json)


@app.command("show")
def _show(task: Task, as_json: Json = False) -> int:
    """Show one task: its state and why, its last safe copy, what to do next."""
    from rc_cli.view.tasks import show

    return show(task, as_json=as_json)


@app.command("wait")
def _wait(
    tasks: Tasks,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up after that time; 0: never.")
    ] = 0,
) -> int:
    """Wait until tasks are done; 1 if one failed."""
    from rc_cli.commands.watch import wait

    return wait(tasks, timeout)


@app.command("logs")
def _logs(task: Task, follow: Follow = False, tail: Tail = None, since: Since = "", as_json: Json = False) -> int:
    """Print a task's conversation."""
    from rc_cli.commands.watch import follow_events, follow_log
    from rc_cli.view.log import logs

    if follow and as_json:
        return follow_events(task, tail=tail, since=since, as_json=True)
    if follow:
        return follow_log(task, tail=tail, since=since)
    return logs(task, tail="" if tail is None else tail, since=since, as_json=as_json)


@app.command("events")
def _events(
    task: Annotated[str, typer.Argument(metavar="ID", help="A task; none: all.")] = "",
    follow: Follow = False,
    tail: Tail = None,
    since: Since = "",
    as_json: Json = False,
) -> int:
    """Print what happened, one event a line."""
    from rc_cli.commands.watch import follow_events
    from rc_cli.view.log import events

    if follow:
        return follow_events(task, tail=tail, since=since, as_json=as_json)
    return events(task, tail="" if tail is None else tail, since=since, as_json=as_json)
