"""Sandboxes on this machine: a process tree in bubblewrap, or, when asked for, with no isolation."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rc_providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]


def __getattr__(name: str) -> object:
    # The light modules here are also used where every millisecond of a start counts.
    if name != "LocalProvider":
        raise AttributeError(name)
    from rc_providers.local.provider import LocalProvider

    return LocalProvider
