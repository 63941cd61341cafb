"""The entry of `rc`: answers what must be quick by itself, and brings in Typer for the rest."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130
BROKEN_PIPE = 141


def main() -> None:
    """Run one command and exit with its code."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader has gone: nothing is left to say, and the interpreter must not try at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = BROKEN_PIPE
    except SystemExit:
        raise
    except Exception as error:
        code = _failed(error)
    sys.exit(code)


def _run(argv: list[str]) -> int:
    from rc_cli.fast import answer

    code = answer(argv)
    if code is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        # The interpreter's own end would take as long as the answer, and there is nothing to put away.
        os._exit(code)
    from rc_cli.app import run

    return run(argv)


def _failed(error: Exception) -> int:
    from rc_cli.view.failure import complain
    from rc_protos.errors import RemoteClaudeError

    return complain(error) if isinstance(error, RemoteClaudeError) else _defect(error)


def _defect(error: Exception) -> int:
    import traceback

    if os.environ.get("RC_DEBUG"):
        traceback.print_exc()
        return 70
    from rc_protos.paths import paths

    place = paths().log / "rc-errors.log"
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with place.open("a") as file:
            traceback.print_exc(file=file)
        where = f"the details are in {place}"
    except OSError:
        where = "set RC_DEBUG=1 to see the details"
    text = " ".join(str(error).split())
    sys.stderr.write(f"rc: this is a defect in rc: {type(error).__name__}: {text}\n    {where}; please report it\n")
    return 70


if __name__ == "__main__":
    main()
