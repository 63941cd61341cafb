"""What a provider says while it takes its time: events of the task, one in a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from rc_daemon.tasks.parts import Parts
from rc_protos.model import Task

PAUSE_SECONDS = 3.0


def teller(parts: Parts, task: Task) -> Callable[[str], None]:
    """A function to tell lines of progress to; most of a quick sequence are dropped."""
    last = -PAUSE_SECONDS

    def tell(text: str) -> None:
        nonlocal last
        if time.monotonic() - last < PAUSE_SECONDS:
            return
        last = time.monotonic()
        told = parts.store.transact(lambda tx: tx.append("sandbox.progress", task.id, {"text": text}))
        parts.background.spawn(told, f"progress of {task.name}")

    return tell
