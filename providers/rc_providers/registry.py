"""Providers by reference, over the entry points `remote_claude.providers`: names, one, or all.

A reference is a name, and for providers that have several places a target after a colon: `ssh:build-box`.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from urllib.parse import quote

from rc_protos import errors
from rc_providers.base import Provider

GROUP = "remote_claude.providers"


def names() -> list[str]:
    """Every provider that is installed; none is imported."""
    return sorted(_found())


def kind(name: str) -> type[Provider]:
    """A provider without a target; raises not_found, or internal when a plug-in cannot be imported."""
    found = _found()
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(found))}"
        raise errors.not_found(f"there is no provider {name!r}", hint)
    try:
        made: type[Provider] = found[name].load()
    except Exception as error:
        raise errors.internal(f"the provider {name} cannot be loaded: {error}", "reinstall its package") from error
    return made


def load(reference: str, root: Path) -> Provider:
    """One provider, its own files below `root`.

    Raises not_found, usage for a target that is missing or not taken, internal when a plug-in cannot be imported.
    """
    name, _, target = reference.partition(":")
    made = kind(name)
    if target and not made.target:
        raise errors.usage(f"the provider {name} takes no target, but {reference!r} names one", f"use: --on {name}")
    if made.target_needed and not target:
        raise errors.usage(f"the provider {name} needs a {made.target}", f"such as: --on {name}:{made.target.upper()}")
    # A target may hold any character; its directory's name may not.
    return made(root / name / quote(target, safe="") if target else root / name, target)


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
