"""One connection per sandbox over any byte stream."""

from rc_daemon.links.link import Identity, SandboxLink, Timing
from rc_daemon.links.links import Links

__all__ = ["Identity", "Links", "SandboxLink", "Timing"]
