"""One level-triggered loop per active task: look, decide, carry out, look again; all memory is in the registry."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from rc_daemon.tasks.actions import Action, Settle, Wait
from rc_daemon.tasks.advance import advance
from rc_daemon.tasks.backoff import delay
from rc_daemon.tasks.carry import Carrier
from rc_daemon.tasks.look import look
from rc_daemon.tasks.moves import RUNNING
from rc_daemon.tasks.observation import Trouble
from rc_daemon.tasks.parts import Parts
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Task, TaskState

log = logging.getLogger("rc.reconcile")

# Trying again changes nothing about these.
PERMANENT = frozenset(
    {ErrorCode.USAGE, ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION, ErrorCode.UNSUPPORTED, ErrorCode.PERMISSION}
)
# A loop whose actions change nothing must not spin.
BREATH = 0.02
# How a task that is held waits, in attempts.
HELD = 4


class Reconciler:
    """The loops of all active tasks; `wake` makes a task's loop look at once, starting it if need be."""

    def __init__(self, parts: Parts, carrier: Carrier) -> None:
        self._parts = parts
        self._carrier = carrier
        self._wakes: dict[str, asyncio.Event] = {}
        self._trouble: dict[str, Trouble] = {}
        self._last: dict[str, type[Action]] = {}
        # What each loop did in its last turn.
        self._done: dict[str, list[Action]] = {}
        self._closed = False

    def wake(self, task_id: str) -> None:
        """Something may have changed for this task."""
        if self._closed or task_id not in self._parts.store.tasks:
            return
        wake = self._wakes.get(task_id)
        if wake is None:
            wake = self._wakes[task_id] = asyncio.Event()
            self._parts.background.spawn(self._loop(task_id, wake), f"task {task_id}")
        wake.set()

    def wake_all(self) -> None:
        """A slot may have become free."""
        for task_id in list(self._wakes):
            self._wakes[task_id].set()

    def clear(self, task_id: str) -> None:
        """The user asked for something: former failures count no more."""
        self._trouble.pop(task_id, None)

    async def close(self) -> None:
        """Start no more loops; those that run are ended by their owner."""
        self._closed = True

    async def _loop(self, task_id: str, wake: asyncio.Event) -> None:
        try:
            while True:
                wake.clear()
                until = await self._once(task_id)
                if until is None:
                    # What came while it looked is looked at; otherwise nothing is to be done until it is woken.
                    if not wake.is_set():
                        return
                    continue
                await _sleep(wake, until - self._parts.clock.now())
        finally:
            if self._wakes.get(task_id) is wake:
                del self._wakes[task_id]
                self._done.pop(task_id, None)

    async def _once(self, task_id: str) -> float | None:
        """Look and act once; when to look again (by the clock of the parts), or None for never by itself."""
        task = self._parts.store.tasks.get(task_id)
        if task is None or task.state is TaskState.REMOVED:
            # A look would bring its conversation back into memory.
            return None
        trouble = self._trouble.get(task_id, Trouble(limit=self._attempts(task)))
        try:
            seen = await look(self._parts, task, trouble)
        except RemoteClaudeError as error:
            return self._failed(task, None, error)
        actions = advance(task, seen)
        if not actions:
            return None
        for action in actions:
            if isinstance(action, Wait):
                regular = self._parts.clock.now() + min(self._parts.limits.look, self._parts.limits.save)
                return min(regular, action.until) if action.until else min(regular, seen.deadline or regular)
            try:
                await self._carrier.carry(task_id, action)
            except RemoteClaudeError as error:
                return self._failed(task, action, error, await self._carrier.last_words(task_id, action))
            self._succeeded(task_id, action)
            if isinstance(action, Settle) and task.state in RUNNING and action.state not in RUNNING:
                # Another task may have the slot.
                self.wake_all()
        before, self._done[task_id] = self._done.get(task_id), list(actions)
        return self._parts.clock.now() + (BREATH if before == actions else 0.0)

    def _attempts(self, task: Task) -> int:
        return max(self._parts.limits.attempts, task.spec.max_retries)

    def _failed(
        self, task: Task, action: Action | None, error: RemoteClaudeError, words: tuple[str, ...] = ()
    ) -> float:
        name = type(action).__name__ if action else "look"
        log.warning("%s: %s: %s", task.name, name, error.message)
        known = self._trouble.get(task.id, Trouble(limit=self._attempts(task)))
        # A full disk says nothing about the sandbox: the task is held until there is room.
        attempts = known.attempts + (error.code is not ErrorCode.EXHAUSTED)
        now = self._parts.clock.now()
        until = now + delay(attempts or HELD)
        permanent = error.code in PERMANENT
        self._trouble[task.id] = replace(
            known,
            attempts=attempts,
            not_before=until,
            error=error.message,
            hint=error.hint,
            words=words,
            permanent=permanent,
        )
        if action is not None:
            self._last[task.id] = type(action)
        return now + BREATH if permanent else until

    def _succeeded(self, task_id: str, action: Action) -> None:
        """What failed has come right."""
        if task_id in self._trouble and self._last.get(task_id) in (type(action), None):
            del self._trouble[task_id]


async def _sleep(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await wake.wait()
    except TimeoutError:
        return
