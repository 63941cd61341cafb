"""Credentials of the caller's environment, sent with the request and kept nowhere."""

from __future__ import annotations

import os

# What coding agents built in take; a user's own TOML may name more, which its variables' shape tells.
KNOWN = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")


def present() -> dict[str, str]:
    """Those that are set."""
    return {name: os.environ[name] for name in KNOWN if os.environ.get(name)}
