"""Carries out a move: the old sandbox falls quiet, the task changes hands in one transaction, the old one goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rc_daemon.links.calls import unary
from rc_daemon.store.rows import Placement
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import actions as act
from rc_daemon.tasks import journal
from rc_daemon.tasks.parts import Parts
from rc_protos import errors, ids
from rc_protos.failpoints import failpoint
from rc_protos.model import Sandbox, SandboxState, Task
from rc_protos.v1 import session_pb2

QUIET_SECONDS = 30.0


class Mover:
    """One method per action of a move."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def quiet(self, task: Task, _action: act.QuietSandbox) -> None:
        """End every session: what is written after the last copy would stay behind."""
        link = self._parts.links.get(task.sandbox_id)
        if link is None:
            raise errors.unavailable("the link to the sandbox is not up")
        sessions = (await unary(link.sessions.ListSessions, session_pb2.ListSessionsRequest())).sessions
        for session in sessions:
            if not session.ended:
                request = session_pb2.CloseSessionRequest(session_id=session.id)
                await unary(link.sessions.CloseSession, request, timeout=QUIET_SECONDS)

        def work(tx: Tx) -> None:
            tx.put_doc(journal.MOVE, task.id, {**(tx.get_doc(journal.MOVE, task.id) or {}), "quiet": True})
            journal.note_work(tx, task.id, unsaved=True)

        await self._parts.store.transact(work)

    async def switch(self, task: Task, _action: act.SwitchSandbox) -> None:
        """From here on the task belongs to a sandbox that is yet to be made."""
        sandbox_id = ids.new_id()
        interrupted = (await self._parts.conversations.get(task.id)).view().interrupted

        def work(tx: Tx) -> None:
            now, move = tx.get_task(task.id), journal.move(tx, task.id)
            if now is None or move is None:
                return
            old = tx.get_sandbox(now.sandbox_id) if now.sandbox_id else None
            place(tx, now, sandbox_id, move.provider)
            gone = old is None or old.state in (SandboxState.GONE, SandboxState.DESTROYED)
            left = "" if old is None or gone else old.id
            if left:
                journal.put_retired(tx, task.id, (*journal.retired(tx, task.id), left))
            tx.delete_doc(journal.MOVE, task.id)
            if interrupted:
                journal.note_work(tx, task.id, **{"continue": True})
            payload = {"from": now.spec.provider, "to": move.provider, "sandbox": sandbox_id, "left": left}
            tx.append("task.moved", task.id, payload)

        await self._parts.store.transact(work)
        if task.sandbox_id:
            await self._parts.links.drop(task.sandbox_id)
            self._parts.mirrors.lost(task.sandbox_id, "moved")

    async def abandon(self, task: Task, action: act.AbandonMove) -> None:
        """It stays where it is and goes on there."""
        interrupted = (await self._parts.conversations.get(task.id)).view().interrupted

        def work(tx: Tx) -> None:
            tx.delete_doc(journal.MOVE, task.id)
            if interrupted:
                journal.note_work(tx, task.id, **{"continue": True})
            tx.append("task.stayed", task.id, {"reason": action.reason})

        await self._parts.store.transact(work)

    async def retire(self, task: Task, action: act.RetireSandbox) -> None:
        """The old sandbox goes; the work is in the new one."""
        row = await self._parts.store.read(lambda tx: tx.get_sandbox(action.sandbox_id))
        if row is not None:
            await destroy(self._parts, row)

        def work(tx: Tx) -> None:
            left = tuple(each for each in journal.retired(tx, task.id) if each != action.sandbox_id)
            journal.put_retired(tx, task.id, left)
            if row is not None:
                tx.put_sandbox(replace(row, state=SandboxState.DESTROYED))
            tx.append("sandbox.destroyed", task.id, {"id": action.sandbox_id})

        await self._parts.store.transact(work)


def place(tx: Tx, task: Task, sandbox_id: str, provider: str) -> None:
    """Record that a sandbox is wanted and that the task belongs to it: a newer placement than any before."""
    epoch = max((each.epoch for each in tx.placements(task.id)), default=0) + 1
    spec = task.spec if provider == task.spec.provider else replace(task.spec, provider=provider, isolation="")
    made = datetime.now(UTC)
    row = Sandbox(sandbox_id, provider, task_id=task.id, isolation=spec.isolation, created_at=made, epoch=epoch)
    tx.put_sandbox(row)
    tx.put_placement(Placement(task.id, sandbox_id, epoch))
    tx.put_task(replace(task, sandbox_id=sandbox_id, spec=spec))
    tx.append("sandbox.intended", task.id, {"id": sandbox_id, "provider": provider})


async def destroy(parts: Parts, row: Sandbox) -> None:
    """Record the intent, then have the provider remove the sandbox; one that is gone is fine."""
    # Only what has this record is ever destroyed.
    await parts.store.transact(lambda tx: tx.put_doc(journal.DESTROY, row.id, {"task": row.task_id}))
    failpoint("task.DestroySandbox.intended")
    await parts.links.drop(row.id)
    try:
        await (await parts.provider(row.provider).attach(row.external_id)).destroy()
    except errors.RemoteClaudeError as error:
        if error.code is not errors.ErrorCode.NOT_FOUND:
            raise
    failpoint("task.DestroySandbox.destroyed")
    parts.mirrors.lost(row.id, "removed")
