"""Providers by name, over the entry points `remote_claude.providers`: names, one, or all."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from rc_protos import errors
from rc_providers.base import Provider

GROUP = "remote_claude.providers"


def names() -> list[str]:
    """Every provider that is installed; none is imported."""
    return sorted(_found())


def load(name: str, root: Path) -> Provider:
    """One provider, its own files below `root`; raises not_found, or internal when a plug-in cannot be imported."""
    found = _found()
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(found))}"
        raise errors.not_found(f"there is no provider {name!r}", hint)
    try:
        made = found[name].load()
    except Exception as error:
        raise errors.internal(f"the provider {name} cannot be loaded: {error}", "reinstall its package") from error
    provider: Provider = made(root / name)
    return provider


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
