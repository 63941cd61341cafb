"""Every conversation of this daemon, by task."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from rc_daemon.coding import inputs
from rc_daemon.coding.conversation import Conversation, Parts
from rc_daemon.coding.record import COLLECTION, Record
from rc_daemon.links import Links
from rc_daemon.sessions.mirror import Mirrors
from rc_daemon.store.store import Store
from rc_protos.background import Background


class Conversations:
    """Every conversation of this daemon, by task id.

    `on_change(task_id)` is called (in the loop) after each commit that changed a view.
    """

    def __init__(
        self,
        store: Store,
        links: Links,
        mirrors: Mirrors,
        background: Background,
        *,
        catalog: Any,
        on_change: Callable[[str], None],
    ) -> None:
        self._parts = Parts(store, links, mirrors, background, catalog, on_change)
        self._known: dict[str, Conversation] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def get(self, task_id: str) -> Conversation:
        """The conversation of a task, loaded from the store and reading on from its processed offset if it runs."""
        async with self._loading.setdefault(task_id, asyncio.Lock()):
            if task_id not in self._known:
                document, waiting = await self._parts.store.read(
                    lambda tx: (tx.get_doc(COLLECTION, task_id), inputs.waiting_prompts(tx, task_id))
                )
                record = Record.load(document or {})
                if record.opened:
                    await self.warm()
                found = Conversation(task_id, self._parts, record, len(waiting))
                self._known[task_id] = found
                found.attach()
        return self._known[task_id]

    async def forget(self, task_id: str) -> None:
        """Let go of a removed task's conversation."""
        found = self._known.pop(task_id, None)
        self._loading.pop(task_id, None)
        if found is not None:
            found.detach()

    async def warm(self) -> None:
        """Load what a first conversation needs, half a second of imports, off the loop; for when a task is created."""
        await asyncio.to_thread(importlib.import_module, "rc_daemon.coding.inbound")

    async def close(self) -> None:
        """Stop reading; coding agents live on."""
        for found in self._known.values():
            found.detach()
