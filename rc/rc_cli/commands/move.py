"""`rc move`: follow a task until it works in its new sandbox and the old one is gone."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.text import clean
from rc_protos.errors import EXIT_TASK_FAILED, precondition
from rc_protos.model import Intent

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

KINDS = ("task.moved", "task.stayed", "sandbox.destroyed", "task.state")


def move(task: str, provider: str) -> int:
    """0 once it has moved; a task that stays where it was is an error with the reason."""
    return with_client(lambda client: _move(client, task, provider))


async def _move(client: DaemonClient, name: str, provider: str) -> int:
    task = await client.move_task(name, provider)
    left = None
    async for event in client.watch_events(task.id, after_seq=task.last_seq, kinds=KINDS):
        payload = json.loads(event.payload)
        if event.kind == "task.stayed":
            raise precondition(f"{task.name} stays on {task.spec.provider}: {payload['reason']}", "it goes on there")
        if event.kind == "task.moved":
            left = payload["left"]
            _say(f"{task.name} belongs to {provider} now")
            if left and task.intent is Intent.STOP:
                _say("it is stopped: its old sandbox goes when it runs there")
                return 0
        elif left and event.kind == "task.state" and payload["to"] == "failed":
            _say(f"it does not start there: {payload['reason']}; its old sandbox is kept")
            return EXIT_TASK_FAILED
        if left == "" or (left and event.kind == "sandbox.destroyed" and payload["id"] == left):
            return 0
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"— {clean(text)}\n")
