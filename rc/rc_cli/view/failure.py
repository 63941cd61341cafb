"""What failed, for a person or as JSON."""

from __future__ import annotations

import sys

from rc_cli.view.text import clean, dumped
from rc_protos.errors import RemoteClaudeError


def complain(error: RemoteClaudeError) -> int:
    """Say what failed and what to do next on stderr; the exit code."""
    words = sys.argv[1:]
    if "--json" in (words[: words.index("--")] if "--" in words else words):
        sys.stderr.write(dumped({"code": error.code, "message": error.message, "hint": error.hint}, 0))
        return error.border.exit
    sys.stderr.write(f"rc: {clean(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"    {clean(error.hint)}\n")
    return error.border.exit
