"""Carries out what `advance` asks for. Every action is idempotent: after a crash it is asked for again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rc_daemon.coding.conversation import Start
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import actions as act
from rc_daemon.tasks import admission, journal, moves, saver, workspace
from rc_daemon.tasks.actions import Action
from rc_daemon.tasks.base import Base
from rc_daemon.tasks.brought import brought
from rc_daemon.tasks.copy import SafeCopy
from rc_daemon.tasks.keep import keep
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.progress import teller
from rc_daemon.tasks.relocate import Mover, destroy, place
from rc_daemon.tasks.remote import remote_base
from rc_daemon.tasks.repository import unpin
from rc_protos import errors, ids
from rc_protos.errors import RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import Sandbox, SandboxState, Task, TaskState
from rc_providers import base as providers
from rc_providers.base import SandboxSpec

log = logging.getLogger("rc.tasks")

LINK_SECONDS = 60.0
LINK_LOOK_SECONDS = 5.0
# Of the log of a sandbox that does not come up, and how many lines of it.
WORDS_SECONDS = 10.0
WORDS_MOST = 5


class Carrier:
    """One method per action."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._saving: dict[str, asyncio.Lock] = {}
        mover = Mover(parts)
        self._do: dict[type[Action], Callable[[Task, Any], Awaitable[None]]] = {
            act.Settle: self._settle,
            act.IntendSandbox: self._intend,
            act.CreateSandbox: self._create,
            act.FindSandbox: self._find,
            act.StartSandbox: self._start_sandbox,
            act.LoseSandbox: self._lose,
            act.EnsureLink: self._link,
            act.Prepare: self._prepare,
            act.StartConversation: self._start_conversation,
            act.WakeConversation: self._wake,
            act.CloseConversation: self._close,
            act.SaveWork: self._save,
            act.KeepWork: self._keep,
            act.StopSandbox: self._stop,
            act.DestroySandbox: self._destroy,
            act.Release: self._release,
            act.QuietSandbox: mover.quiet,
            act.SwitchSandbox: mover.switch,
            act.AbandonMove: mover.abandon,
            act.RetireSandbox: mover.retire,
        }

    async def carry(self, task_id: str, action: Action) -> None:
        """Do it for the task as it is now; raises RemoteClaudeError."""
        name = type(action).__name__
        failpoint(f"task.{name}.before")
        try:
            await self._do[type(action)](self._parts.store.tasks[task_id], action)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise errors.exhausted(f"{place}{error.strerror or error}", "see: rc doctor") from error
        failpoint(f"task.{name}.after")

    async def last_words(self, task_id: str, action: Action) -> tuple[str, ...]:
        """What the provider has of the sandbox that did not come up, one line each."""
        if type(action) not in (act.EnsureLink, act.StartSandbox):
            return ()
        try:
            async with asyncio.timeout(WORDS_SECONDS):
                row = await self._row(self._parts.store.tasks[task_id])
                lines = (await (await self._attached(row)).logs()).splitlines()
        except (RemoteClaudeError, TimeoutError):
            return ()
        return tuple(line for line in lines if line.strip())[-WORDS_MOST:]

    # the row

    async def _settle(self, task: Task, action: act.Settle) -> None:
        def work(tx: Tx) -> None:
            now = tx.get_task(task.id)
            assert now is not None
            same = (now.state, now.reason, now.evidence) == (action.state, action.reason, action.evidence)
            if same or not self._may_enter(now, action.state):
                return
            moves.check(now.state, action.state)
            moment = datetime.now(UTC)
            changed = replace(
                now,
                state=action.state,
                reason=action.reason,
                evidence=action.evidence,
                stop_reason=action.stop_reason or (now.stop_reason if action.state.settled else ""),
                updated_at=moment,
                ended_at=moment if action.state.settled else None,
            )
            tx.put_task(changed)
            if not action.state.settled and not journal.work(tx, task.id).get("started"):
                journal.note_work(tx, task.id, started=self._parts.clock.now())
            if action.state.settled:
                journal.note_work(tx, task.id, started=0, rested=self._parts.clock.now())
            if now.state is not action.state or now.reason != action.reason:
                payload = {"from": now.state, "to": action.state, "reason": action.reason}
                tx.append("task.state", task.id, payload)

        await self._parts.store.transact(work)

    def _may_enter(self, task: Task, state: TaskState) -> bool:
        """A slot seen free may have been taken by another task since."""
        if task.state is not TaskState.QUEUED or state not in moves.RUNNING:
            return True
        tasks = list(self._parts.store.tasks.values())
        return admission.ahead(tasks, task.id, self._parts.limits.running) is None

    # the sandbox

    async def _intend(self, task: Task, _action: Action) -> None:
        if task.state is TaskState.QUEUED:
            return
        sandbox_id = ids.new_id()

        def work(tx: Tx) -> None:
            now = tx.get_task(task.id)
            assert now is not None
            place(tx, now, sandbox_id, now.spec.provider)

        await self._parts.store.transact(work)

    async def _create(self, task: Task, _action: Action) -> None:
        base = await self.base(task)
        row = await self._row(task)
        provider = self._parts.provider(row.provider)
        borrows = await provider.shows_host_paths()
        # It may have to ask an executable for its version.
        agent = await asyncio.to_thread(self._parts.catalog.binds, task.spec.coding_agent) if borrows else ()
        bundle = self._parts.links.bundle.directory
        spec = SandboxSpec(
            tag=row.id,
            installation=self._parts.installation,
            isolation=row.isolation,
            binds=[*(Path(place) for place in base.objects), *agent, bundle] if borrows else (),
            options=task.spec.options,
            progress=teller(self._parts, task),
        )
        made = await provider.create(spec)
        failpoint("task.CreateSandbox.created")
        await self._found(task, row, made, await made.info())

    async def _find(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        provider = self._parts.provider(row.provider)
        for info in await provider.list(self._parts.installation):
            if info.tag == row.id:
                await self._found(task, row, await provider.attach(info.external_id), info)
                return
        await self._put(replace(row, state=SandboxState.GONE), "sandbox.gone")

    async def _found(self, task: Task, row: Sandbox, sandbox: providers.Sandbox, info: providers.SandboxInfo) -> None:
        running = replace(
            row, state=SandboxState.RUNNING, external_id=info.external_id, isolation=info.isolation or row.isolation
        )
        await self._put(running, "sandbox.created", isolation=info.isolation, external_id=info.external_id)
        # It connects while the rest is made ready.
        self._parts.links.ensure(row.id, sandbox, row.epoch)

    async def _start_sandbox(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        sandbox = await self._attached(row)
        await sandbox.start()
        failpoint("task.StartSandbox.started")
        await self._put(replace(row, state=SandboxState.RUNNING), "sandbox.started")
        self._parts.links.ensure(row.id, sandbox, row.epoch)

    async def _lose(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        await self._part_from(task, row, "sandbox lost")
        await self._put(replace(row, state=SandboxState.GONE), "sandbox.gone")

    async def _link(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        sandbox = await self._attached(row)
        link = self._parts.links.ensure(row.id, sandbox, row.epoch)
        deadline = self._parts.clock.now() + LINK_SECONDS
        while True:
            try:
                await link.up(LINK_LOOK_SECONDS)
                return
            except RemoteClaudeError as error:
                hopeless = error.code is not errors.ErrorCode.UNAVAILABLE
                # A sandbox that is gone is not waited for.
                if hopeless or self._parts.clock.now() > deadline or not await _runs(sandbox):
                    raise

    async def _stop(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        sandbox = await self._attached(row)
        await self._parts.links.drop(row.id)
        await sandbox.stop()
        failpoint("task.StopSandbox.stopped")
        await self._part_from(task, row, "stopped")
        await self._put(replace(row, state=SandboxState.STOPPED), "sandbox.stopped")

    async def _destroy(self, task: Task, _action: Action) -> None:
        row = await self._row(task)
        await destroy(self._parts, row)
        await self._part_from(task, row, "removed")
        await self._put(replace(row, state=SandboxState.DESTROYED), "sandbox.destroyed")

    async def _part_from(self, task: Task, row: Sandbox, why: str) -> None:
        """No process of this sandbox runs any more."""
        await self._parts.links.drop(row.id)
        self._parts.mirrors.lost(row.id, why)
        await (await self._parts.conversations.get(task.id)).lost(why)

    # the work

    async def _prepare(self, task: Task, _action: Action) -> None:
        row, base = await self._row(task), await self.base(task)
        link = self._parts.links.get(row.id)
        if link is None or link.hello is None:
            raise errors.unavailable("the link to the sandbox is not up")
        copy = self.copy(task, base)
        provider = self._parts.provider(row.provider)
        borrows = await provider.shows_host_paths()
        own = await brought(link, self._parts.catalog, task.spec.coding_agent, provider, borrows=borrows)
        home = link.hello.home.decode()
        start = await workspace.prepare(link, task, base, copy, home, borrows=borrows)
        failpoint("task.Prepare.prepared")

        def work(tx: Tx) -> None:
            place = {"workspace": link.hello.workspace.decode(), "home": home, "brought": own}
            tx.put_doc(journal.PREPARED, row.id, place)
            kind = "work.prepared" if start == base.commit else "work.recovered"
            tx.append(kind, task.id, {"branch": task.branch, "base": base.commit, "commit": start})

        await self._parts.store.transact(work)

    async def _save(self, task: Task, _action: Action) -> None:
        conversation = await self._parts.conversations.get(task.id)
        before = conversation.view()
        try:
            await self.save(task, turn=before.turn if not before.busy else before.turn - 1)
        except RemoteClaudeError as error:
            log.warning("%s: %s", task.name, error.message)
            message, turn = error.message, before.turn

            def work(tx: Tx) -> None:
                known = journal.work(tx, task.id)
                failures = int(known.get("failures", 0)) + 1
                journal.note_work(tx, task.id, failures=failures, error=message, looked=self._parts.clock.now())
                if failures >= 2:
                    journal.note_work(tx, task.id, saved_turn=turn)
                if failures == 2 or (failures > 2 and message != known.get("error")):
                    # Each failure once: it is tried again every few seconds.
                    tx.append("error", task.id, {"message": message, "hint": "the last safe copy is kept"})

            await self._parts.store.transact(work)

    async def save(self, task: Task, *, turn: int) -> None:
        """Bring the safe copy up to date; raises RemoteClaudeError and leaves the last one as it was."""
        # In the sandbox there is one index and one bundle.
        async with self._saving.setdefault(task.id, asyncio.Lock()):
            await self._save_now(task, turn)

    async def _save_now(self, task: Task, turn: int) -> None:
        base = await self.base(task)
        link = self._parts.links.get(task.sandbox_id)
        if link is None or link.hello is None:
            raise errors.unavailable("the link to the sandbox is not up")
        transcripts = self._parts.coding_agent(task.spec.coding_agent).transcripts
        began = self._parts.clock.now()
        copy = self.copy(task, base)
        saved, new = await saver.save(link, copy, link.hello.home.decode(), transcripts)
        failpoint("task.SaveWork.copied")
        files = len(await copy.files()) if new else 0
        busy = (await self._parts.conversations.get(task.id)).view().busy

        def work(tx: Tx) -> None:
            note = {"failures": 0, "error": "", "looked": began, "unsaved": busy, "saved_turn": turn, "kept": False}
            journal.note_work(tx, task.id, **(note if new else {**note, "kept": journal.work(tx, task.id).get("kept")}))
            now = tx.get_task(task.id)
            assert now is not None
            tx.put_task(replace(now, saved_at=datetime.now(UTC)))
            if new:
                tx.append("work.saved", task.id, {"commit": saved.save, "head": saved.head, "files": files})

        await self._parts.store.transact(work)

    async def _keep(self, task: Task, _action: Action) -> None:
        base = await self._parts.store.read(lambda tx: journal.base(tx, task.id))
        place = await keep(self._parts.paths.data / "saved", task, self.copy(task, base)) if base else None
        failpoint("task.KeepWork.kept")

        def work(tx: Tx) -> None:
            journal.note_work(tx, task.id, kept=True)
            now = tx.get_task(task.id)
            assert now is not None
            tx.put_task(replace(now, saved_to=str(place) if place else now.saved_to))

        await self._parts.store.transact(work)

    async def _release(self, task: Task, _action: Action) -> None:
        base = await self._parts.store.read(lambda tx: journal.base(tx, task.id))
        if base is not None:
            await unpin(task.id, base.repository)
        failpoint("task.Release.unpinned")
        self._parts.vault.drop(task.id)
        self._saving.pop(task.id, None)
        await self._parts.conversations.forget(task.id)
        self._parts.mirrors.forget(task.id)

        def work(tx: Tx) -> None:
            journal.forget(tx, task.id, task.sandbox_id)
            tx.append("task.removed", task.id, {"saved_to": task.saved_to})

        await self._parts.store.transact(work)

    # the conversation

    async def _start_conversation(self, task: Task, action: act.StartConversation) -> None:
        start = await self.start(task)
        custody = "forwarded" if start.environment else "none"

        def work(tx: Tx) -> None:
            journal.note_work(tx, task.id, unsaved=True, **{"continue": False})
            now = tx.get_task(task.id)
            assert now is not None
            if now.credential_custody != custody:
                tx.put_task(replace(now, credential_custody=custody))

        conversation = await self._parts.conversations.get(task.id)
        await conversation.start(start, continue_turn=action.continue_turn)
        await self._parts.store.transact(work)

    async def start(self, task: Task) -> Start:
        """What the coding agent's process is started with."""
        place = await self._parts.store.read(lambda tx: tx.get_doc(journal.PREPARED, task.sandbox_id))
        if place is None:
            raise errors.unavailable("the workspace is not prepared yet")
        agent, held = self._parts.coding_agent(task.spec.coding_agent), self._parts.vault.get(task.id)
        return Start(
            sandbox_id=task.sandbox_id,
            workspace=place["workspace"],
            home=place["home"],
            coding_agent=task.spec.coding_agent,
            mode=task.spec.mode,
            model=task.spec.model,
            # A caller sends what it has; another coding agent's key is none of this one's business.
            environment={name: held[name] for name in (*agent.credential_names, *agent.variables) if name in held},
            brought=place.get("brought", {}),
        )

    async def _wake(self, task: Task, _action: Action) -> None:
        await self._parts.store.transact(lambda tx: journal.note_work(tx, task.id, unsaved=True))
        await (await self._parts.conversations.get(task.id)).wake()

    async def _close(self, task: Task, action: act.CloseConversation) -> None:
        await (await self._parts.conversations.get(task.id)).close(action.reason)

    # helpers

    async def base(self, task: Task) -> Base:
        """What the task starts from; a URL is fetched now."""
        found = await self._parts.store.read(lambda tx: journal.base(tx, task.id))
        if found is not None:
            return found
        made = await remote_base(task.id, self._parts.paths.cache, task.spec.repository, task.spec.ref)

        def work(tx: Tx) -> None:
            journal.put_base(tx, task.id, made)
            now = tx.get_task(task.id)
            assert now is not None
            tx.put_task(replace(now, base_commit=made.commit))

        await self._parts.store.transact(work)
        return made

    def copy(self, task: Task, base: Base) -> SafeCopy:
        """The task's safe copy on this host."""
        return SafeCopy(self._parts.paths.tasks / task.id, base)

    async def _row(self, task: Task) -> Sandbox:
        row = await self._parts.store.read(lambda tx: tx.get_sandbox(task.sandbox_id))
        if row is None:
            raise errors.unavailable(f"{task.name} has no sandbox yet")
        return row

    async def _attached(self, row: Sandbox) -> providers.Sandbox:
        return await self._parts.provider(row.provider).attach(row.external_id)

    async def _put(self, row: Sandbox, kind: str, **payload: str) -> None:
        def work(tx: Tx) -> None:
            tx.put_sandbox(row)
            tx.append(kind, row.task_id, {"id": row.id, **payload})

        await self._parts.store.transact(work)


async def _runs(sandbox: providers.Sandbox) -> bool:
    """Whether the provider says so; one that cannot be asked may be right later."""
    try:
        return (await sandbox.info()).presence is providers.Presence.RUNNING
    except RemoteClaudeError as error:
        return error.code is not errors.ErrorCode.NOT_FOUND
