"""The Typer application: every command declared, nothing imported until it runs."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="rc",
    help="Run coding agents as tasks in sandboxes anywhere, and lose nothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
daemon = typer.Typer(help="The background daemon.")
config = typer.Typer(help="Settings and where they come from.")
agent = typer.Typer(help="Coding agents.")
app.add_typer(daemon, name="daemon")
app.add_typer(config, name="config")
app.add_typer(agent, name="agent")

Task = Annotated[str, typer.Argument(metavar="ID", help="A task: its name, or its id or any unique beginning of that.")]
Tasks = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Tasks, each by its name, or its id or any unique beginning of that."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tail = Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N.")]
Since = Annotated[str, typer.Option("--since", metavar="T", help="Only since then: 10m, 2h, or a time.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="A setting; see rc config show.")]
CodingAgent = Annotated[str, typer.Argument(metavar="NAME", help="A coding agent; see rc agent ls.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on as things happen.")]


def run(argv: list[str]) -> int:
    """Run one command line; the exit code. Raises RemoteClaudeError."""
    from typer.exceptions import TyperException

    from rc_protos.errors import usage

    command = typer.main.get_command(app)
    try:
        code = command.main(args=argv, prog_name="rc", standalone_mode=False)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        words = " ".join(error.format_message().split()).rstrip(".")
        raise usage(words[:1].lower() + words[1:], f"see: {context.command_path if context else 'rc'} --help") from None
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as ended:
        # Typer's answer to a broken pipe is 1, which here means that a task failed.
        if isinstance(ended.__context__, BrokenPipeError):
            raise ended.__context__ from None
        raise
    return code if isinstance(code, int) else 0


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("-V", "--version", help="Print the version.")] = False) -> None:
    """Run coding agents as tasks in sandboxes anywhere, and lose nothing."""
    # The fast path has answered a lone --version.


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
    on: Annotated[str, typer.Option("--on", metavar="PROVIDER", help="Where to run.")] = "",
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


@app.command("say")
def _say(
    task: Task, text: Annotated[str, typer.Argument(metavar="TEXT", help="The message; - reads it from stdin.")]
) -> int:
    """Add a message; a task that is done works again."""
    from rc_cli.commands.tasks import say

    return say(task, text)


@app.command("inbox")
def _inbox(
    task: Annotated[str, typer.Argument(metavar="ID", help="Of one task only.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: Json = False,
) -> int:
    """List what waits for you."""
    from rc_cli.view.inbox import inbox

    return inbox(task, everything=everything, as_json=as_json)


Request = Annotated[str, typer.Argument(metavar="REQ|ID", help="A request, or a task that has exactly one.")]


@app.command("approve")
def _approve(request: Request) -> int:
    """Allow what a coding agent asks for, once."""
    from rc_cli.commands.tasks import respond

    return respond(request, approve=True)


@app.command("deny")
def _deny(
    request: Request,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Told to the coding agent.")] = "",
) -> int:
    """Refuse what a coding agent asks for."""
    from rc_cli.commands.tasks import respond

    return respond(request, approve=False, because=because)


@app.command("cancel")
def _cancel(task: Task) -> int:
    """End the running turn; the coding agent lives on."""
    from rc_cli.commands.tasks import cancel

    return cancel(task)


@app.command("stop")
def _stop(tasks: Tasks) -> int:
    """End a task's processes and keep everything."""
    from rc_cli.commands.tasks import stop

    return stop(tasks)


@app.command("resume")
def _resume(tasks: Tasks) -> int:
    """Start a task's processes again, on its transcript."""
    from rc_cli.commands.tasks import resume

    return resume(tasks)


@app.command("retry")
def _retry(task: Task) -> int:
    """Start a new task with the same definition."""
    from rc_cli.commands.tasks import retry

    return retry(task)


@app.command("rm")
def _rm(
    tasks: Tasks,
    discard: Annotated[bool, typer.Option("--discard", help="Let unmerged work go; the only way to lose it.")] = False,
) -> int:
    """Remove tasks; unmerged work is saved first, and you are told where."""
    from rc_cli.commands.tasks import remove

    return remove(tasks, discard=discard)


@app.command("attach")
def _attach(
    target: Annotated[str, typer.Argument(metavar="ID[/SESSION]", help="A task, or one session of it.")],
    native: Annotated[bool, typer.Option("--native", help="The coding agent's own TUI.")] = False,
) -> int:
    """Join the live conversation, or a session's terminal; Ctrl-] detaches."""
    from rc_cli.commands.attach import attach

    return attach(target, native=native)


@app.command("shell")
def _shell(
    task: Task,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Come back to the shell of this name.")] = "shell",
) -> int:
    """Open a terminal in the sandbox that lives on; Ctrl-] detaches."""
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
    """Bring ports of the sandbox to this machine, until Ctrl-C; heals after every cut."""
    from rc_cli.commands.forward import forward

    return forward(task, ports or (), automatic=automatic)


@app.command("diff")
def _diff(
    task: Task, stat: Annotated[bool, typer.Option("--stat", help="Only which files, and how much.")] = False
) -> int:
    """Show a task's work as a patch."""
    from rc_cli.commands.work import diff

    return diff(task, stat=stat)


@app.command("apply")
def _apply(task: Task) -> int:
    """Put a task's work into this working tree; a conflict changes nothing."""
    from rc_cli.commands.work import apply

    return apply(task)


@app.command("fetch")
def _fetch(
    task: Task,
    branch: Annotated[str, typer.Option("--branch", metavar="NAME", help="Another name than the task's.")] = "",
) -> int:
    """Bring a task's work into this repository as a local branch."""
    from rc_cli.commands.work import fetch

    return fetch(task, branch)


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
