"""Claude Code for tests: installed once by the product's own installer into a cache outside the repository."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from rc_daemon.coding.catalog import Catalog
from rc_daemon.coding.install import install
from rc_protos.errors import RemoteClaudeError
from rc_protos.paths import Paths
from support.needs import lacking

NAME = "claude"


def shared_cache() -> Path:
    """Where the test suite keeps what it downloads."""
    return Path(os.environ.get("RC_TEST_CACHE") or Path.home() / ".cache" / "remote-claude-tests")


def shared_places() -> Paths:
    """An installation that is nothing but a cache."""
    root = shared_cache()
    return Paths(root / "run", root / "data", root / "config", root / "cache", root / "log")


def installed() -> bool:
    """Whether the shared cache holds it."""
    catalog = Catalog(shared_places())
    return catalog.installations.find(catalog.get(NAME)) is not None


async def fetch() -> None:
    """Install it if it is not there; raises RemoteClaudeError."""
    catalog = Catalog(shared_places())
    async for step in install(catalog, NAME):
        print(f"{step.message} {step.done >> 20} of about {step.total >> 20} MiB" if step.total else step.message)


def cached_claude(places: Paths) -> None:
    """Let an installation of a test use the shared one; ends the test where it cannot be had."""
    shared = shared_places()
    if not installed():
        lacking("Claude Code is not installed for the tests; scripts/test fetches it from the npm registry")
    places.cache.mkdir(parents=True, exist_ok=True)
    target = places.cache / "coding-agents"
    if not target.exists():
        target.symlink_to(shared.cache / "coding-agents")


if __name__ == "__main__":
    try:
        asyncio.run(fetch())
    except RemoteClaudeError as error:
        print(f"Claude Code cannot be had: {error.message} {error.hint}")
