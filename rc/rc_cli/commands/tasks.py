"""say, approve, deny, cancel, stop, resume, retry, rm: one call each."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from rc_cli.credentials import present
from rc_cli.loop import with_client
from rc_cli.view.failure import complain
from rc_cli.view.text import clean
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Task, TaskState

if TYPE_CHECKING:
    from rc_client.client import DaemonClient


def say(task: str, text: str) -> int:
    """Add a message."""
    from rc_protos import ids

    words = sys.stdin.read() if text == "-" else text
    once = ids.new_id()
    done = with_client(lambda client: client.say_task(task, words, credentials=present(), request_id=once))
    _tell(f"said to {done.name}; follow it with: rc attach {done.name}")
    return 0


def respond(request: str, *, approve: bool, because: str = "") -> int:
    """Answer a request."""
    done = with_client(lambda client: client.answer_request(request, approve=approve, because=because))
    _tell(f"{done.state}: {done.title}")
    return 0


def cancel(task: str) -> int:
    """End the running turn."""
    done = with_client(lambda client: client.cancel_turn(task))
    _tell(f"the turn of {done.name} is ended; go on with: rc say {done.name} '...'")
    return 0


def stop(tasks: Sequence[str]) -> int:
    """End processes."""

    async def one(client: DaemonClient, task: str) -> Task:
        done = await client.stop_task(task)
        way = "rc resume {0}" if done.state is TaskState.STOPPED else "rc say {0} '...'"
        _tell(f"{done.name} is {done.state}, nothing of it runs; go on with: {way.format(done.name)}")
        return done

    return _each(tasks, one)


def resume(tasks: Sequence[str]) -> int:
    """Start processes again."""

    async def one(client: DaemonClient, task: str) -> Task:
        done = await client.resume_task(task, credentials=present())
        _tell(f"{done.name} is resumed; follow it with: rc attach {done.name}")
        return done

    return _each(tasks, one)


def retry(task: str) -> int:
    """A new task of the same definition."""
    done = with_client(lambda client: client.retry_task(task, credentials=present()))
    sys.stdout.write(f"{done.id}\n")
    _tell(f"started {done.name}; follow it with: rc attach {done.name}")
    return 0


def remove(tasks: Sequence[str], *, discard: bool) -> int:
    """Remove, and say where the work is."""

    async def one(client: DaemonClient, task: str) -> Task:
        done = await client.remove_task(task, discard=discard)
        if done.saved_to:
            _tell(f"the work of {done.name} is saved in {done.saved_to}")
        _tell(f"{done.name} is removed")
        return done

    return _each(tasks, one)


def _each(tasks: Sequence[str], work: Callable[[DaemonClient, str], Awaitable[Task]]) -> int:
    """Do it for each task, whatever becomes of the others; the exit code of the first that failed."""

    async def whole(client: DaemonClient) -> int:
        code = 0
        for task in tasks:
            try:
                await work(client, task)
            except RemoteClaudeError as error:
                said = complain(error)
                code = code or said
        return code

    return with_client(whole)


def _tell(text: str) -> None:
    sys.stderr.write(clean(text) + "\n")
