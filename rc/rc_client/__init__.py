"""The only door to the daemon; also the Python SDK: `from rc_client import DaemonClient`."""

from __future__ import annotations

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rc_client.client import DaemonClient
    from rc_client.session import AttachedSession

__all__ = ["AttachedSession", "DaemonClient"]


def __getattr__(name: str) -> Any:
    # gRPC takes 50 ms to import: only for those who use it.
    if name == "DaemonClient":
        from rc_client.client import DaemonClient

        return DaemonClient
    if name == "AttachedSession":
        from rc_client.session import AttachedSession

        return AttachedSession
    raise AttributeError(name)
