"""One command line, run."""

from __future__ import annotations

import typer

# In the order in which --help lists them.
from rc_cli.declare import tasks, talk, life, sessions, files, work, machine, daemon, config, agent, provider, sandbox
from rc_cli.declare.words import app


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
