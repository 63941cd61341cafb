"""The use cases of TaskService; the servicers of rc_daemon.api convert and call these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rc_daemon.coding import inputs
from rc_daemon.coding.view import Phase
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import create as creating
from rc_daemon.tasks import journal, orphans, outcome
from rc_daemon.tasks.carry import Carrier
from rc_daemon.tasks.create import Created
from rc_daemon.tasks.find import find_task
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.reconcile import Reconciler
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import LOCAL, Intent, LinkState, Principal, Task, TaskSpec, TaskState, TerminalSize

# Stopping and removing save the work first.
SETTLE_SECONDS = 540.0
SAVE_SECONDS = 120.0
FILTERS = {
    "state": lambda task: task.state,
    "name": lambda task: task.name,
    "agent": lambda task: task.spec.coding_agent,
    "provider": lambda task: task.spec.provider,
    "repository": lambda task: task.spec.repository,
}


class TaskService:
    """Every use case of tasks. A `task` argument is an id, a unique prefix of one, or a name."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._carrier = Carrier(parts)
        self._reconciler = Reconciler(parts, self._carrier)

    async def recover(self) -> None:
        """Tidy up what a crash left; call once, before anything is served."""
        await creating.forget_unborn(self._parts)

    async def start(self) -> None:
        """Look at what is, take up every active task; call once, after the links and conversations stand."""
        for task in list(self._parts.store.tasks.values()):
            if task.state is not TaskState.REMOVED:
                self._reconciler.wake(task.id)
        self._parts.background.spawn(orphans.sweep(self._parts), "orphans")

    async def close(self) -> None:
        """Stop looking; tasks live on."""
        await self._reconciler.close()

    def link_changed(self, sandbox_id: str) -> None:
        """Called by the links on every change of state."""
        link = self._parts.links.get(sandbox_id)
        for task in list(self._parts.store.tasks.values()):
            if task.sandbox_id == sandbox_id and task.state is not TaskState.REMOVED:
                state = link.state if link else LinkState.DOWN
                self._parts.background.spawn(self._note_link(task.id, state), f"link of {task.id}")
                self._reconciler.wake(task.id)

    def conversation_changed(self, task_id: str) -> None:
        """Called by the conversations after each commit that changed a view."""
        self._reconciler.wake(task_id)

    async def wake_sandbox(self, sandbox_id: str, timeout: float = 60.0) -> None:
        """Make a sandbox that sleeps reachable (rc shell on a settled task); raises precondition or unavailable."""
        row = await self._parts.store.read(lambda tx: tx.get_sandbox(sandbox_id))
        if row is None or not row.external_id:
            raise errors.precondition(f"there is no sandbox {sandbox_id} to wake", "see: rc ls")
        now = self._parts.clock.now()

        def want(tx: Tx) -> None:
            # Else it would be stopped again at once: what a user opens after `rc stop` sleeps when it is idle.
            task = tx.get_task(row.task_id)
            if task is not None and task.intent is Intent.STOP and task.state.settled:
                tx.put_task(replace(task, intent=Intent.RUN))
            journal.note_work(tx, row.task_id, rested=now)

        await self._parts.store.transact(want)
        sandbox = await self._parts.provider(row.provider).attach(row.external_id)
        await sandbox.start()
        await self._parts.links.ensure(sandbox_id, sandbox, row.epoch).up(timeout)

    async def create(
        self,
        spec: TaskSpec,
        *,
        credentials: Mapping[str, str] | None = None,
        request_id: str = "",
        directory: str = "",
        caller: Principal = LOCAL,
    ) -> Created:
        """Validate everything, record the task durably, answer at once."""
        self._parts.background.spawn(self._parts.conversations.warm(), "warm")
        failpoint("task.create.before_commit")
        made = await creating.create(
            self._parts,
            spec,
            credentials=credentials or {},
            request_id=request_id,
            directory=directory,
            caller=caller,
        )
        failpoint("task.create.after_commit")
        self._reconciler.wake(made.task.id)
        return made

    async def list(self, filters: Sequence[str] = (), *, include_removed: bool = False) -> Sequence[Task]:
        """Tasks for which every "key=value" filter holds, oldest first."""
        wanted = [_filter(text) for text in filters]
        return [
            task
            for task in self._parts.store.tasks.values()
            if (include_removed or task.state is not TaskState.REMOVED) and all(holds(task) for holds in wanted)
        ]

    async def get(self, task: str) -> Task:
        """One task; raises not_found or ambiguous."""
        return await self._parts.store.read(lambda tx: find_task(tx, task))

    async def say(
        self,
        task: str,
        text: str,
        *,
        credentials: Mapping[str, str] | None = None,
        request_id: str = "",
        caller: Principal = LOCAL,
    ) -> Task:
        """Add a user message; a settled task works again."""
        if not text.strip():
            raise errors.usage("there is nothing to say")

        def work(tx: Tx) -> Task:
            found = _living(tx, task)
            if request_id and tx.get_doc(journal.REQUEST, request_id) is not None:
                return found
            if request_id:
                tx.put_doc(journal.REQUEST, request_id, {"task": found.id})
            inputs.queue_prompt(tx, found.id, text, actor=caller.name)
            journal.note_work(tx, found.id, **{"continue": True})
            return _run_again(tx, found)

        return await self._again(work, credentials)

    async def cancel(self, task: str, *, caller: Principal = LOCAL) -> Task:
        """End the running turn."""
        found = await self.get(task)
        conversation = await self._parts.conversations.get(found.id)
        if not await conversation.cancel():
            if conversation.view().busy:
                raise errors.precondition(
                    f"the turn of {found.name} is being cancelled already", f"end its processes: rc stop {found.name}"
                )
            raise errors.precondition(f"{found.name} has no turn that runs", f"see: rc show {found.name}")
        return await self.get(found.id)

    async def stop(self, task: str, *, caller: Principal = LOCAL) -> Task:
        """End the task's processes and keep everything; returns when it is stopped."""
        found = await self._intend(task, Intent.STOP)
        await self._until(found.id, lambda now: now.state.settled and self._asleep(now), found.name)
        return await self.get(found.id)

    async def resume(
        self, task: str, *, credentials: Mapping[str, str] | None = None, caller: Principal = LOCAL
    ) -> Task:
        """Start the processes again, on the transcript; a turn that was cut goes on."""
        found = await self.get(task)
        view = (await self._parts.conversations.get(found.id)).view()
        if found.state is TaskState.DONE:
            raise errors.precondition(f"{found.name} is done", f"say what to do next: rc say {found.name} '...'")
        if not found.state.settled and found.state is not TaskState.WAITING:
            raise errors.precondition(f"{found.name} runs already", f"follow it with: rc attach {found.name}")
        again = self._parts.coding_agent(found.spec.coding_agent).continue_prompt

        def work(tx: Tx) -> Task:
            now = _living(tx, found.id)
            idle = not view.interrupted and not inputs.waiting_prompts(tx, now.id) and view.phase is not Phase.ASKING
            if idle and now.state.settled:
                inputs.queue_prompt(tx, now.id, again, actor=caller.name, automatic=True)
            journal.note_work(tx, now.id, **{"continue": True})
            return _run_again(tx, now)

        return await self._again(work, credentials)

    async def retry(
        self, task: str, *, credentials: Mapping[str, str] | None = None, caller: Principal = LOCAL
    ) -> Task:
        """A new task with the same definition."""
        found = await self.get(task)
        held = {**self._parts.vault.get(found.id), **(credentials or {})}
        made = await creating.create(
            self._parts,
            replace(found.spec, name=""),
            credentials=held,
            request_id="",
            directory=found.spec.repository,
            caller=caller,
            retry_of=found.id,
        )
        self._reconciler.wake(made.task.id)
        return made.task

    async def move(self, task: str, provider: str, *, caller: Principal = LOCAL) -> Task:
        """Record that the task shall go to another provider; raises usage, precondition, or what `check` raises."""
        found = await self.get(task)
        await self._parts.provider(provider).check("")
        if found.spec.provider == provider:
            raise errors.usage(f"{found.name} is on {provider} already", "name another one; see: rc provider ls")

        def work(tx: Tx) -> Task:
            now = _living(tx, found.id)
            if journal.move(tx, now.id) is not None:
                raise errors.precondition(f"{now.name} is being moved already", f"see: rc show {now.name}")
            tx.put_doc(journal.MOVE, now.id, {"provider": provider})
            tx.append("task.moving", now.id, {"from": now.spec.provider, "to": provider}, actor=caller.name)
            return now

        failpoint("task.again.before_commit")
        await self._parts.store.transact(work)
        failpoint("task.again.after_commit")
        self._reconciler.clear(found.id)
        self._reconciler.wake(found.id)
        return await self.get(found.id)

    async def remove(self, task: str, *, discard: bool = False, caller: Principal = LOCAL) -> Task:
        """Save unmerged work, then remove sandbox and task; `saved_to` says where."""
        found = await self._intend(task, Intent.REMOVE, discard=discard)
        end = await self._until(
            found.id,
            lambda now: now.state is TaskState.REMOVED or now.reason.startswith("not removed"),
            found.name,
        )
        if end.state is not TaskState.REMOVED:
            raise errors.precondition(f"{found.name} is {end.reason}")
        return end

    async def diff(self, task: str, *, stat: bool = False, color: bool = False) -> AsyncIterator[bytes]:
        """The work since the base, in chunks of at most 64 KiB."""
        found = await self._fresh(task)
        copy = await outcome.safe_copy(self._parts, self._carrier, found)
        if copy is None:
            return
        async for chunk in copy.diff(stat=stat, color=color):
            yield chunk

    async def apply(self, task: str, directory: str, *, caller: Principal = LOCAL) -> Sequence[str]:
        """Put the work into a working tree, or change nothing and raise conflict; the files changed."""
        found = await self._fresh(task)
        copy = await outcome.safe_copy(self._parts, self._carrier, found)
        return await outcome.apply(found, copy, Path(directory)) if copy else []

    async def fetch(self, task: str, directory: str, *, branch: str = "", caller: Principal = LOCAL) -> tuple[str, str]:
        """Bring the work into a repository as a local branch: (branch, commit)."""
        found = await self._fresh(task)
        copy = await outcome.safe_copy(self._parts, self._carrier, found)
        if copy is None:
            raise errors.precondition(f"{found.name} has no work to fetch yet", f"see: rc show {found.name}")
        name, commit = await outcome.fetch(found, copy, Path(directory), branch or found.branch)
        failpoint("work.fetch.after")
        await self._parts.store.transact(lambda tx: tx.append("work.fetched", found.id, {"branch": name}))
        return name, commit

    async def open_native(
        self,
        task: str,
        size: TerminalSize,
        term: str,
        *,
        credentials: Mapping[str, str] | None = None,
        caller: Principal = LOCAL,
    ) -> tuple[str, str]:
        """The coding agent's own TUI on the task's transcript: (sandbox id, session id)."""
        found = await self.get(task)
        self._parts.vault.put(found.id, credentials or {})
        if not found.sandbox_id:
            raise errors.precondition(f"{found.name} has no sandbox yet", f"see: rc show {found.name}")
        link = self._parts.links.get(found.sandbox_id)
        if link is None or link.state is not LinkState.UP:
            await self.wake_sandbox(found.sandbox_id)
        conversation = await self._parts.conversations.get(found.id)
        session_id = await conversation.open_native(await self._carrier.start(found), size, term)
        await self._parts.store.transact(lambda tx: journal.note_work(tx, found.id, unsaved=True))
        return found.sandbox_id, session_id

    # helpers

    async def _fresh(self, task: str) -> Task:
        """The task, its safe copy brought up to date where its sandbox is within reach."""
        found = await self.get(task)
        link = self._parts.links.get(found.sandbox_id) if found.sandbox_id else None
        prepared = await self._parts.store.read(lambda tx: tx.get_doc(journal.PREPARED, found.sandbox_id))
        if link is None or link.state is not LinkState.UP or prepared is None:
            return found
        view = (await self._parts.conversations.get(found.id)).view()
        try:
            async with asyncio.timeout(SAVE_SECONDS):
                await self._carrier.save(found, turn=view.turn - view.busy)
        except TimeoutError:
            raise errors.timeout(
                f"the work of {found.name} was not copied within {SAVE_SECONDS:.0f} s", "the last safe copy is kept"
            ) from None
        return await self.get(found.id)

    async def _intend(self, task: str, intent: Intent, *, discard: bool = False) -> Task:
        def work(tx: Tx) -> Task:
            found = _living(tx, task)
            changed = replace(found, intent=intent)
            tx.put_task(changed)
            if discard:
                journal.note_work(tx, found.id, discard=True)
            tx.append("task.intent", found.id, {"intent": intent, "discard": discard})
            return changed

        failpoint("task.intent.before_commit")
        found = await self._parts.store.transact(work)
        failpoint("task.intent.after_commit")
        self._reconciler.clear(found.id)
        self._reconciler.wake(found.id)
        return found

    async def _again(self, work: Callable[[Tx], Task], credentials: Mapping[str, str] | None) -> Task:
        """Record that there is more to do, and see that it is done."""
        failpoint("task.again.before_commit")
        task = await self._parts.store.transact(work)
        failpoint("task.again.after_commit")
        self._parts.vault.put(task.id, credentials or {})
        self._reconciler.clear(task.id)
        await (await self._parts.conversations.get(task.id)).wake()
        self._reconciler.wake(task.id)
        return task

    async def _until(self, task_id: str, done: Callable[[Task], bool], name: str) -> Task:
        """Wait for events of the task until it is as wanted."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                async for _ in self._parts.store.watch(self._parts.store.last_seq, task_id=task_id):
                    now = self._parts.store.tasks.get(task_id)
                    if now is None or done(now):
                        return now or await self.get(task_id)
        except TimeoutError:
            raise errors.timeout(f"{name} takes very long; it goes on by itself", f"see: rc show {name}") from None
        raise errors.unavailable("the daemon is stopping", "it goes on when it runs again")

    def _asleep(self, task: Task) -> bool:
        """Nothing of the task runs any more."""
        return self._parts.links.get(task.sandbox_id) is None

    async def _note_link(self, task_id: str, state: LinkState) -> None:
        def work(tx: Tx) -> None:
            now = tx.get_task(task_id)
            if now is not None and now.link_state != state:
                tx.put_task(replace(now, link_state=state))
                tx.append("link.state", task_id, {"sandbox_id": now.sandbox_id, "state": state})

        try:
            await self._parts.store.transact(work)
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.UNAVAILABLE:
                raise


def _living(tx: Tx, word: str) -> Task:
    found = find_task(tx, word)
    if found.state is TaskState.REMOVED or found.intent is Intent.REMOVE:
        raise errors.precondition(f"{found.name} is removed", "see: rc ls --all")
    return found


def _run_again(tx: Tx, task: Task) -> Task:
    """Wanted to run; a settled task goes through the queue."""
    changed = replace(task, intent=Intent.RUN)
    if task.state.settled:
        changed = replace(
            changed,
            state=TaskState.QUEUED,
            reason="",
            evidence=(),
            stop_reason="",
            ended_at=None,
            updated_at=datetime.now(UTC),
        )
        payload = {"from": task.state, "to": TaskState.QUEUED, "reason": ""}
        tx.append("task.state", task.id, payload)
    tx.put_task(changed)
    return changed


def _filter(text: str) -> Callable[[Task], bool]:
    key, equals, value = text.partition("=")
    if not equals or key not in FILTERS:
        raise errors.usage(f"{text!r} is no filter", f"such as state=waiting; keys: {', '.join(FILTERS)}")
    if key == "state" and value not in list(TaskState):
        raise errors.usage(f"there is no state {value!r}", f"there are: {', '.join(TaskState)}")
    field: Callable[[Task], Any] = FILTERS[key]
    return lambda task: str(field(task)) == value
