"""provider add|rm."""

from __future__ import annotations

import sys

from rc_cli.loop import with_client
from rc_cli.view.text import clean


def add(place: str, accept_key: str) -> int:
    """Say what there is to know of tasks there."""
    notices = with_client(lambda client: client.add_provider(place, accept_key))
    for line in (f"tasks can run on {place}", *notices):
        sys.stdout.write(f"{clean(line)}\n")
    return 0


def rm(place: str) -> int:
    """Forget; what runs there goes on."""
    with_client(lambda client: client.remove_provider(place))
    return 0
