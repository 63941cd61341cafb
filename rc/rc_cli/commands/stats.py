"""sandbox stats: what is in use, per sandbox."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.text import size, table
from rc_protos.errors import precondition
from rc_protos.model import LinkState, Stats

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

HEADS = ("SANDBOX", "TASK", "CPU", "MEMORY", "OF", "PROCESSES", "DISK FREE")
# (id, task name)
Connected = tuple[str, str]


def stats(which: str, *, follow: bool, as_json: bool) -> int:
    """Print the newest sample of each, with --json the history; go on if that is wanted."""

    async def whole(client: DaemonClient) -> int:
        chosen = await _chosen(client, which)
        if not chosen:
            sys.stderr.write("no sandbox is connected\n")
            return 0
        if follow:
            await asyncio.gather(*(_follow(client, each, as_json=as_json) for each in chosen))
            return 0
        found = await asyncio.gather(*(_history(client, each) for each in chosen))
        if as_json:
            sys.stdout.write(
                json.dumps([_document(*each) for each in zip(chosen, found, strict=True)], indent=2) + "\n"
            )
        else:
            rows = [_row(each, history[-1]) for each, history in zip(chosen, found, strict=True)]
            sys.stdout.write(table(HEADS, rows))
        return 0

    return with_client(whole)


async def _chosen(client: DaemonClient, which: str) -> list[Connected]:
    """Those connected ones that are meant; raises not_found, ambiguous, or precondition."""
    names = {task.id: task.name for task in await client.list_tasks()}
    up = {
        link.sandbox_id: names.get(link.task_id, "-")
        for link in (await client.get_status()).links
        if link.state is LinkState.UP
    }
    if not which:
        return sorted(up.items())
    seen = await client.get_sandbox(which)
    if seen.sandbox.id not in up:
        raise precondition(f"the sandbox {seen.sandbox.id} is not connected", "see: rc sandbox ls")
    return [(seen.sandbox.id, up[seen.sandbox.id])]


async def _history(client: DaemonClient, of: Connected) -> list[Stats]:
    return [each async for batch in client.watch_stats(of[0]) for each in batch]


async def _follow(client: DaemonClient, of: Connected, *, as_json: bool) -> None:
    async for batch in client.watch_stats(of[0], follow=True):
        line = json.dumps(_document(of, batch[-1:])) + "\n" if as_json else "  ".join(_row(of, batch[-1])) + "\n"
        sys.stdout.write(line)
        sys.stdout.flush()


def _row(of: Connected, now: Stats) -> tuple[str, ...]:
    limit = size(now.memory_limit_bytes) if now.memory_limit_bytes else "-"
    return (*of, f"{now.cpu:.2f}", size(now.memory_bytes), limit, str(now.processes), size(now.disk_free_bytes))


def _document(of: Connected, history: Sequence[Stats]) -> dict[str, object]:
    samples = [{**dataclasses.asdict(each), "time": each.time.isoformat()} for each in history]
    return {"sandbox": of[0], "task": of[1], "samples": samples}
