"""The commands that answer at once: standard library only, over the daemon's JSON socket.

Whatever is not plain here (an unknown flag, --help, --watch) is left to the Typer command of the same name.
"""

from __future__ import annotations

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    # Flag -> (parameter, wants a value, may be repeated); the same as the Typer commands declare.
    Flags = Mapping[str, tuple[str, bool, bool]]

_JSON: Flags = {"--json": ("as_json", False, False)}
_RUN: Flags = {
    **_JSON,
    "-F": ("file", True, False),
    "--file": ("file", True, False),
    "-d": ("detach", False, False),
    "--detach": ("detach", False, False),
    "--dirty": ("dirty", False, False),
    "-o": ("options", True, True),
    "--option": ("options", True, True),
    **{
        f"--{name}": (name, True, False)
        for name in ("agent", "name", "repo", "ref", "on", "isolation", "mode", "model")
    },
}
_LS: Flags = {
    **_JSON,
    "-q": ("quiet", False, False),
    "--quiet": ("quiet", False, False),
    "--all": ("everything", False, False),
    "-a": ("everything", False, False),
    "--filter": ("filters", True, True),
    "--format": ("template", True, False),
}
_INBOX: Flags = {**_JSON, "--all": ("everything", False, False)}
_LOGS: Flags = {**_JSON, "--tail": ("tail", True, False), "--since": ("since", True, False)}


def answer(argv: Sequence[str]) -> int | None:
    """The exit code, or None if this is not for the fast path."""
    if not argv or argv[0] in ("-h", "--help"):
        return _help("rc")
    if argv[0] == "help":
        return _help(*argv[1:])
    if argv[0] in ("-V", "--version"):
        return _version()
    if tuple(argv) in _GROUPS or (argv[-1] in ("-h", "--help") and "--" not in argv):
        return _help(*argv)
    for words, flags, most, command in _COMMANDS:
        if tuple(argv[: len(words)]) == words:
            parsed = parse(argv[len(words) :], flags, most)
            return None if parsed is None else command(*parsed[0], **parsed[1])
    return None


def parse(argv: Sequence[str], flags: Flags, most: int) -> tuple[list[str], dict[str, Any]] | None:
    """(arguments, options), or None for anything but well-formed known flags."""
    arguments: list[str] = []
    options: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith("-"):
            arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in flags:
            return None
        parameter, wants, repeated = flags[name]
        if wants and not equals:
            value = next(words, "")
            if not value:
                return None
        if equals and not wants:
            return None
        if repeated:
            options.setdefault(parameter, []).append(value)
        else:
            options[parameter] = value if wants else True
    return None if len(arguments) > most else (arguments, options)


def _help(*words: str) -> int | None:
    """Print the generated help text of the command that the words begin with; Typer tells when there is none."""
    import os
    import sys

    for name in ("-".join(words[:2]), *words[:1]) if words else ("rc",):
        path = os.path.join(os.path.dirname(__file__), "help", f"{name}.txt")
        if "/" not in name and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                sys.stdout.write(file.read())
            return 0
    return None


def _version() -> int:
    import sys

    from rc_protos.version import VERSION

    sys.stdout.write(f"rc {VERSION}\n")
    return 0


def _run(*words: str, **options: Any) -> int:
    from rc_cli.commands.run import run_task

    return run_task(*words, **options)


def _ls(**options: Any) -> int:
    from rc_cli.view.tasks import ls

    return ls(**options)


def _show(*names: str, **options: Any) -> int | None:
    from rc_cli.view.tasks import show

    return show(names[0], **options) if names else None


def _inbox(*names: str, **options: Any) -> int:
    from rc_cli.view.inbox import inbox

    return inbox(*names, **options)


def _logs(*names: str, **options: Any) -> int | None:
    from rc_cli.view.log import logs

    return logs(names[0], **options) if names else None


def _events(*names: str, **options: Any) -> int:
    from rc_cli.view.log import events

    return events(*names, **options)


def _status(**options: Any) -> int:
    from rc_cli.view.daemon import status

    return status(**options)


def _complete(kind: str = "", prefix: str = "") -> int:
    from rc_cli.view.complete import complete

    return complete(kind, prefix)


_GROUPS = (("daemon",), ("config",), ("agent",), ("provider",), ("sandbox",), ("file",))
_COMMANDS: tuple[tuple[tuple[str, ...], Flags, int, Callable[..., int | None]], ...] = (
    (("run",), _RUN, 1, _run),
    (("ls",), _LS, 0, _ls),
    (("show",), _JSON, 1, _show),
    (("inbox",), _INBOX, 1, _inbox),
    (("logs",), _LOGS, 1, _logs),
    (("events",), _LOGS, 1, _events),
    (("daemon", "status"), _JSON, 0, _status),
    (("__complete",), {}, 2, _complete),
)
