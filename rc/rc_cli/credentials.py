"""Credentials of the caller's environment, sent with the request and kept nowhere."""

from __future__ import annotations

import os

from rc_protos.roots import roots

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What the coding agents built in take.
KNOWN = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")


def present() -> dict[str, str]:
    """Those that are set."""
    return {name: os.environ[name] for name in (*KNOWN, *_own()) if os.environ.get(name)}


def _own() -> Iterator[str]:
    """What the user's own coding agents take."""
    folder = os.path.join(roots()[2], "coding-agents")
    for file in os.listdir(folder) if os.path.isdir(folder) else ():
        if not file.endswith(".toml"):
            continue
        import tomllib

        try:
            with open(os.path.join(folder, file), "rb") as source:
                document = tomllib.load(source)
        except (OSError, ValueError):
            # The daemon says what is wrong with it.
            continue
        for key in ("credentials", "variables"):
            words = document.get(key)
            yield from (word for word in words if isinstance(word, str)) if isinstance(words, list) else ()
