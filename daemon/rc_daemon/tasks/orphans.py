"""Sandboxes that carry our tag and that nobody wants: destroyed if that was intended, shown otherwise."""

from __future__ import annotations

import logging

from rc_daemon.store.tx import Tx
from rc_daemon.tasks import journal
from rc_daemon.tasks.parts import Parts
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import SandboxState

log = logging.getLogger("rc.orphans")


async def sweep(parts: Parts) -> list[str]:
    """Look at every provider that ever was used; what is there and not wanted, one line each."""
    rows = await parts.store.read(lambda tx: {row.id: row for row in tx.list_sandboxes()})
    found: list[str] = []
    for name in sorted({row.provider for row in rows.values()}):
        try:
            provider = parts.provider(name)
            for info in await provider.list(parts.installation):
                row = rows.get(info.tag)
                wanted = row is not None and row.state not in (SandboxState.GONE, SandboxState.DESTROYED)
                if wanted:
                    continue
                tag = info.tag
                if await parts.store.read(lambda tx, tag=tag: tx.get_doc(journal.DESTROY, tag)) is None:  # type: ignore[misc]
                    found.append(f"{name} sandbox {tag} belongs to no task; it is left alone")
                    continue
                await (await provider.attach(info.external_id)).destroy()
        except RemoteClaudeError as error:
            log.warning("provider %s: %s", name, error.message)

    def work(tx: Tx) -> None:
        for text in found:
            tx.append("notice", "", {"text": text})

    if found:
        await parts.store.transact(work)
    return found
