"""Follows a task's conversation on a terminal: prints it, asks what the coding agent asks, minds Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rc_cli.view.conversation import Printer
from rc_cli.view.text import clean
from rc_protos.background import Background
from rc_protos.errors import EXIT_OK, EXIT_TASK_FAILED, RemoteClaudeError
from rc_protos.model import Event, RequestState, Task, TaskState

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

EXIT_DETACHED = 0
EXIT_CANCELLED = 130
ANSWERS = {"y": True, "yes": True, "n": False, "no": False}
# No line of the terminal: a question was settled from somewhere else.
ELSEWHERE = "\x00"


class Follower:
    """One task, followed until it settles or the user leaves."""

    def __init__(
        self,
        client: DaemonClient,
        task: Task,
        *,
        as_json: bool = False,
        answer: Callable[[dict[str, Any]], bool | None] | None = None,
        hints: bool = True,
    ) -> None:
        self._client = client
        self._task = task
        self._as_json = as_json
        # Answers requests by itself, as `rc demo -y` does.
        self._answer = answer
        self._hints = hints
        self._printer = Printer()
        self._interrupted = asyncio.Event()
        self._pending: set[str] = set()
        self._interactive = sys.stdin.isatty() and sys.stderr.isatty() and not as_json

    async def follow(self, after_seq: int = 0) -> int:
        """Print from a sequence number on; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupted.set)
        requests = await self._client.list_requests(self._task.id)
        self._pending = {each.id for each in requests if each.state is RequestState.PENDING}
        async with Background("follow") as background:
            while True:
                watching = background.spawn(self._watch(after_seq, background), "watch")
                interrupted = background.spawn(self._interrupted.wait(), "interrupt")
                await asyncio.wait([watching, interrupted], return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    return watching.result()
                watching.cancel()
                await asyncio.wait([watching])
                code = await self._leave()
                if code is not None:
                    return code
                self._interrupted.clear()
                after_seq = self._seen

    async def _watch(self, after_seq: int, background: Background) -> int:
        self._seen = after_seq
        async for event in self._client.watch_events(self._task.id, after_seq=after_seq):
            self._seen = event.seq
            payload = json.loads(event.payload)
            self._print(event, payload)
            # Up to here it is history: turns that ended, requests that were answered.
            new = event.seq > self._task.last_seq
            if event.kind == "request.opened" and (new or payload.get("id") in self._pending):
                await self._asked(payload, event.seq, background)
            if new and (state := settled_by(event)):
                return self._settled(state)
            if event.seq == self._task.last_seq and self._task.state.settled:
                return self._settled(self._task.state)
        return EXIT_TASK_FAILED

    def _print(self, event: Event, payload: dict[str, Any]) -> None:
        if self._as_json:
            said = {"seq": event.seq, "kind": event.kind, "time": event.time.isoformat(), "payload": payload}
            sys.stdout.write(json.dumps(said) + "\n")
        else:
            sys.stdout.write(self._printer.show(event.kind, payload))
        sys.stdout.flush()

    async def _asked(self, payload: dict[str, Any], seq: int, background: Background) -> None:
        request, word = str(payload["id"]), ""
        if self._answer is None and self._interactive:
            word = await self._question(request, seq, background)
        approve = self._answer(payload) if self._answer else ANSWERS.get(word)
        if approve is None:
            if word != ELSEWHERE and not self._as_json:
                sys.stderr.write(f"— it waits for you: rc approve {request}   ·   rc deny {request}\n")
            return
        try:
            await self._client.answer_request(request, approve=approve)
        except RemoteClaudeError as error:
            sys.stderr.write(f"— {clean(error.message)}\n")

    async def _question(self, request: str, seq: int, background: Background) -> str:
        """Ask at the terminal; Enter leaves the request in the inbox, and so does an answer from elsewhere."""
        sys.stderr.write("  allow this once? [y]es, [n]o, Enter: decide later in rc inbox: ")
        sys.stderr.flush()
        line: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        watching = background.spawn(self._settled_elsewhere(request, seq, line), "elsewhere")
        try:
            word = (await read_line(line)).strip().lower()
        finally:
            watching.cancel()
        if word == ELSEWHERE:
            sys.stderr.write("\n")
        return word

    async def _settled_elsewhere(self, request: str, seq: int, line: asyncio.Future[str]) -> None:
        kinds = ("request.answered", "request.withdrawn")
        async for event in self._client.watch_events(self._task.id, after_seq=seq, kinds=kinds):
            if json.loads(event.payload).get("id") == request:
                _settle(line, ELSEWHERE)

    async def _leave(self) -> int | None:
        """What Ctrl-C means is asked; twice it detaches."""
        name = self._task.name
        sys.stdout.write(self._printer.finish())
        sys.stdout.flush()
        word = "d"
        if self._interactive:
            sys.stderr.write("\n  [d]etach, [c]ancel the turn, or Enter to go on watching: ")
            sys.stderr.flush()
            loop = asyncio.get_running_loop()
            again = loop.create_future()
            loop.add_signal_handler(signal.SIGINT, _settle, again, "d")
            try:
                word = (await read_line(again)).strip().lower()[:1]
            finally:
                loop.add_signal_handler(signal.SIGINT, self._interrupted.set)
        if word == "c":
            await self._client.cancel_turn(self._task.id)
            sys.stderr.write(f"— the turn is ended; go on with: rc say {name} '...'\n")
            return EXIT_CANCELLED
        if word == "d":
            sys.stderr.write(f"\n— detached, {name} goes on; come back with: rc attach {name}\n")
            return EXIT_DETACHED
        return None

    def _settled(self, state: TaskState) -> int:
        if not self._as_json:
            sys.stdout.write(self._printer.finish())
            sys.stdout.flush()
        name = self._task.name
        if not self._hints or self._as_json:
            pass
        elif state is TaskState.DONE:
            sys.stderr.write(f"— next: rc diff {name} · rc apply {name} · rc say {name} '...'\n")
        elif state is TaskState.FAILED:
            sys.stderr.write(f"— next: rc show {name} · rc logs {name} · rc retry {name}\n")
        return EXIT_TASK_FAILED if state is TaskState.FAILED else EXIT_OK


def settled_by(event: Event) -> TaskState | None:
    """The state in which the task comes to rest by this event, if it does; states of a newer daemon are no rest."""
    word = json.loads(event.payload).get("to") if event.kind == "task.state" else None
    return next((state for state in TaskState if state.settled and state == word), None)


async def read_line(instead: asyncio.Future[str] | None = None) -> str:
    """A line from the terminal, or what `instead` is settled with first."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = instead or loop.create_future()
    loop.add_reader(0, lambda: _settle(line, sys.stdin.readline()))
    try:
        return await line
    finally:
        loop.remove_reader(0)


def _settle(line: asyncio.Future[str], text: str) -> None:
    if not line.done():
        line.set_result(text)
