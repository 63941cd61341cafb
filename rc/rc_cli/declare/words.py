"""The Typer application, and the arguments that many commands take."""

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


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("-V", "--version", help="Print the version.")] = False) -> None:
    """Run coding agents as tasks in sandboxes anywhere, and lose nothing."""
    # The fast path has answered a lone --version.
