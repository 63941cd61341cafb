"""Sandboxes on this machine: a process tree in bubblewrap, or, when asked for, with no isolation."""

from rc_providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
