"""What is known of one conversation, changed by durable commits only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rc_daemon.coding import acp, inputs
from rc_daemon.coding.commit import store
from rc_daemon.coding.record import Record
from rc_daemon.coding.state import State, Step
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos import ids
from rc_protos.failpoints import failpoint

# The daemon's own numbering of a session's input survives its restarts under this name.
WRITER = "daemon"


class Memory:
    """The record as it is durable, the machine that may be ahead of it during a commit, and the view others have."""

    def __init__(
        self, task_id: str, registry: Store, record: Record, queued: int, *, on_change: Callable[[], None]
    ) -> None:
        self.record = record
        self.machine = _machine(record)
        self.queued = queued
        self.view = record.view(task_id, queued)
        # Set, and replaced, at each change of the view.
        self.changed = asyncio.Event()
        # Told how many bytes more the process is owed.
        self.on_owed: Callable[[int], None] = lambda size: None
        self._task_id = task_id
        self._store = registry
        self._on_change = on_change

    def feed(self, data: bytes) -> list[Step]:
        """What output of the process leads to, to be committed."""
        try:
            return list(self.machine.feed(data))
        except BaseException:
            self.machine = _machine(self.record)
            raise

    async def commit(
        self,
        steps: Sequence[Step],
        record: Record | None = None,
        more: Callable[[Tx], None] = lambda tx: None,
        queued: int | None = None,
    ) -> None:
        """Make it durable, or go back to what is; the latter, too, only if it is not, when the caller is cancelled."""
        new = (record or self.record).with_state(self.machine.state)

        def work(tx: Tx) -> int:
            store(tx, self._task_id, WRITER, new, steps)
            more(tx)
            return len(inputs.waiting_prompts(tx, self._task_id)) if queued is None else queued

        def done(waiting: int) -> None:
            self.record = new
            self.look(waiting)
            self.on_owed(sum(len(step.out) for step in steps))

        failpoint("conversation.commit.before")
        try:
            await self._store.transact(work, then=done)
        except BaseException:
            if self.record is not new:
                self.machine = _machine(self.record)
            raise
        failpoint("conversation.commit.after")

    def look(self, queued: int) -> None:
        """See it anew, so many prompts waiting."""
        self.queued = queued
        view = self.record.view(self._task_id, queued)
        if view != self.view:
            self.view = view
            self.changed.set()
            self.changed = asyncio.Event()
            self._on_change()


def _machine(record: Record) -> acp.Machine:
    return acp.Machine(State.load(record.state), ids.new_id)
