"""ls --watch, wait, logs -f, events -f: what is told as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rc_cli.commands.follow import settled_by
from rc_cli.loop import with_client
from rc_cli.view.conversation import Printer
from rc_protos.background import Background
from rc_protos.errors import EXIT_TASK_FAILED, timeout
from rc_protos.model import Event, TaskState

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

# Many events at once are one new picture.
SETTLE_SECONDS = 0.1
AGE_SECONDS = 5.0


def watch_tasks(filters: Sequence[str], *, everything: bool) -> int:
    """Print the table anew whenever something changes."""
    from rc_cli.view.tasks import listing, tasks

    changed = asyncio.Event()

    async def watch(client: DaemonClient) -> None:
        _, last = await client.list_events(limit=1)
        try:
            async for _batch in client.watch_batches(after_seq=last):
                changed.set()
        finally:
            changed.set()

    async def whole(client: DaemonClient) -> int:
        terminal = sys.stdout.isatty()
        if terminal:
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, changed.set)
        async with Background("watch") as background:
            watching = background.spawn(watch(client), "watch")
            while not watching.done():
                changed.clear()
                text = listing(await asyncio.to_thread(tasks, list(filters), everything))
                sys.stdout.write("\x1b[H\x1b[2J" + _screenful(text) if terminal else text)
                sys.stdout.flush()
                with contextlib.suppress(TimeoutError):
                    # On a terminal, ages go on.
                    await asyncio.wait_for(changed.wait(), AGE_SECONDS if terminal else None)
                await asyncio.sleep(SETTLE_SECONDS)
            watching.result()
        return 0

    return with_client(whole)


def _screenful(text: str) -> str:
    """The head and as many of the last lines as the terminal has room for."""
    lines = text.splitlines()
    room = max(os.get_terminal_size(1).lines - 2, 1)
    return "\n".join([lines[0], *lines[1:][-room:]]) + "\n"


def wait(names: Sequence[str], seconds: float) -> int:
    """Return when every task is settled."""

    async def one(client: DaemonClient, name: str) -> TaskState:
        task = await client.get_task(name)
        if task.state.settled:
            return task.state
        async for event in client.watch_events(task.id, after_seq=task.last_seq, kinds=("task.state",)):
            if state := settled_by(event):
                return state
        return TaskState.FAILED

    async def whole(client: DaemonClient) -> int:
        try:
            async with asyncio.timeout(seconds or None):
                states = [await one(client, name) for name in names]
        except TimeoutError:
            raise timeout(f"not all are done after {seconds:g} s", "see: rc ls") from None
        return EXIT_TASK_FAILED if TaskState.FAILED in states else 0

    return with_client(whole)


def follow_log(name: str, *, tail: int | None, since: str) -> int:
    """The conversation so far, then live until the task is settled."""
    from rc_cli.view.log import conversation, fetch

    async def whole(client: DaemonClient) -> int:
        before = await client.get_task(name)
        found = await asyncio.to_thread(fetch, before.id, since=since)
        last = int(found[-1]["seq"]) if found else before.last_seq
        now = await client.get_task(before.id)
        printer = Printer()
        sys.stdout.write(conversation(found, printer, -1 if tail is None else tail))
        sys.stdout.flush()
        if not now.state.settled or now.last_seq > last:
            async for event in client.watch_events(before.id, after_seq=last):
                sys.stdout.write(printer.show(event.kind, json.loads(event.payload)))
                sys.stdout.flush()
                if settled_by(event) or (now.state.settled and event.seq >= now.last_seq):
                    break
        sys.stdout.write(printer.finish())
        return 0

    return with_client(whole)


def follow_events(task: str, *, tail: int | None, since: str, as_json: bool) -> int:
    """The events so far, then live."""
    from rc_cli.view.log import decoded, fetch, line

    async def whole(client: DaemonClient) -> int:
        found = await asyncio.to_thread(fetch, task, since=since, tail=tail or 0)
        last = int(found[-1]["seq"]) if found else 0

        def tell(event: dict[str, object]) -> None:
            sys.stdout.write((json.dumps(decoded(event)) if as_json else line(event)) + "\n")
            sys.stdout.flush()

        for each in found if tail != 0 else []:
            tell(each)
        async for event in client.watch_events(task, after_seq=last):
            tell(as_wire(event))
        return 0

    return with_client(whole)


def as_wire(event: Event) -> dict[str, object]:
    """An event with the names of the wire JSON."""
    return {
        "seq": str(event.seq),
        "taskId": event.task_id,
        "kind": event.kind,
        "version": event.version,
        "time": event.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor": event.actor,
        "payload": event.payload,
    }
