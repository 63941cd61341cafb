"""Sandboxes that carry our tag and that nobody wants: destroyed if that was intended, shown otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from rc_daemon.store.tx import Tx
from rc_daemon.tasks import journal
from rc_daemon.tasks.parts import Parts
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Sandbox, SandboxState

log = logging.getLogger("rc.orphans")


async def sweep(parts: Parts) -> list[str]:
    """Look at every provider that ever was used; what is there and not wanted, one line each."""
    rows, intents = await parts.store.read(
        lambda tx: ({row.id: row for row in tx.list_sandboxes()}, tx.list_docs(journal.DESTROY))
    )
    found: list[str] = []
    used = {row.provider for row in rows.values()} | {each.get("provider", "") for each in intents.values()}
    for name in sorted(used - {""}):
        try:
            provider = parts.provider(name)
            for info in await provider.list(parts.installation):
                row = rows.get(info.tag)
                lost = row is None or row.state in (SandboxState.GONE, SandboxState.DESTROYED)
                # A task sees to its own.
                if row is not None and not lost and (row.task_id or row.id not in intents):
                    continue
                tag = info.tag
                # As it is now: it may have been adopted meanwhile.
                if await parts.store.read(lambda tx, tag=tag: tx.get_doc(journal.DESTROY, tag)) is None:  # type: ignore[misc]
                    found.append(f"{name} sandbox {info.tag} belongs to no task; it is left alone: rc sandbox ls")
                    continue
                await (await provider.attach(info.external_id)).destroy()
                if row is not None and not lost:
                    await parts.store.transact(_destroyed(row))
        except RemoteClaudeError as error:
            log.warning("provider %s: %s", name, error.message)

    def work(tx: Tx) -> None:
        for text in found:
            tx.append("notice", "", {"text": text})

    if found:
        await parts.store.transact(work)
    return found


def _destroyed(row: Sandbox) -> Callable[[Tx], None]:
    return lambda tx: tx.put_sandbox(replace(row, state=SandboxState.DESTROYED))
