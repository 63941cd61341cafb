"""The use cases of InboxService: what waits for the human, answered once from any face."""

from __future__ import annotations

from collections.abc import Sequence

from rc_daemon.coding import inputs
from rc_daemon.store.tx import Tx
from rc_daemon.tasks.find import find_task
from rc_daemon.tasks.parts import Parts
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import LOCAL, Principal, Request


class InboxService:
    """The requests of all tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, task: str = "", *, include_answered: bool = False) -> Sequence[Request]:
        """Requests, oldest first; of one task or of all."""

        def work(tx: Tx) -> Sequence[Request]:
            task_id = find_task(tx, task).id if task else ""
            return tx.list_requests(task_id, pending_only=not include_answered)

        return await self._parts.store.read(work)

    async def answer(
        self, request: str, *, approve: bool, because: str = "", option_id: str = "", caller: Principal = LOCAL
    ) -> Request:
        """Answer once; `request` is an id or unique prefix, or a task with exactly one pending request."""

        def work(tx: Tx) -> Request:
            found = _find(tx, request)
            answered = inputs.record_answer(
                tx, found.id, approve=approve, option_id=option_id, because=because, actor=caller.name
            )
            if because and not approve:
                # The protocol's refusal carries no words: they are said as the next message.
                inputs.queue_prompt(tx, found.task_id, f"I refused: {found.title}. {because}", actor=caller.name)
            return answered

        failpoint("inbox.answer.before_commit")
        answered = await self._parts.store.transact(work)
        failpoint("inbox.answer.after_commit")
        await (await self._parts.conversations.get(answered.task_id)).wake()
        return answered


def _find(tx: Tx, word: str) -> Request:
    exact = tx.get_request(word.lower())
    if exact is not None:
        return exact
    text = word.lower()
    begins = [each for each in tx.list_requests(pending_only=True) if text and each.id.startswith(text)]
    if len(begins) == 1:
        return begins[0]
    try:
        task = find_task(tx, word)
    except RemoteClaudeError as error:
        if error.code is ErrorCode.NOT_FOUND:
            raise errors.not_found(f"there is no request and no task {word!r}", "list them with: rc inbox") from None
        raise
    pending = tx.list_requests(task.id)
    if not pending:
        raise errors.precondition(f"nothing of {task.name} waits for you", f"see: rc show {task.name}")
    if len(pending) > 1:
        some = ", ".join(each.id for each in pending[:5])
        raise RemoteClaudeError(
            f"{task.name} has {len(pending)} requests", f"name one: {some}", code=ErrorCode.AMBIGUOUS
        )
    return pending[0]
