"""agent ls|show|install."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.text import clean, size, table

if TYPE_CHECKING:
    from rc_client.client import DaemonClient


def ls(*, as_json: bool) -> int:
    """Print all."""
    found = with_client(lambda client: client.list_coding_agents())
    if as_json:
        sys.stdout.write(json.dumps([dataclasses.asdict(each) for each in found], indent=2) + "\n")
        return 0
    rows = [
        (
            each.name,
            each.title,
            (each.version or "built in") if each.installed else "-",
            each.pinned_version,
            each.remedy,
        )
        for each in found
    ]
    sys.stdout.write(table(("AGENT", "TITLE", "INSTALLED", "PINNED", "NEXT"), rows))
    return 0


def show(name: str, *, as_json: bool) -> int:
    """Print one."""
    found = with_client(lambda client: client.list_coding_agents(name))[0]
    if as_json:
        sys.stdout.write(json.dumps(dataclasses.asdict(found), indent=2) + "\n")
        return 0
    for key, value in dataclasses.asdict(found).items():
        text = ", ".join(value) if isinstance(value, (tuple, list)) else str(value)
        if text:
            sys.stdout.write(f"{key.replace('_', ' '):>17}  {clean(text)}\n")
    return 0


def install(name: str) -> int:
    """Install, with progress on stderr."""

    async def whole(client: DaemonClient) -> int:
        bar = sys.stderr.isatty()
        last = ""
        async for message, done, total in client.install_coding_agent(name):
            share = f" {size(done)} of about {size(total)}" if total else ""
            if bar:
                sys.stderr.write(f"\r\x1b[K{clean(message)}{share}")
            elif message != last:
                sys.stderr.write(f"{clean(message)}\n")
            last = message
        if bar:
            sys.stderr.write("\n")
        return 0

    return with_client(whole)
