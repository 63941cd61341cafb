"""What people tell a coding agent, as durable facts: prompts in a queue and answers to requests.

These functions run inside a store transaction of the caller, so that accepting the words, the event and the task's
change of state are one commit. `Conversation.wake` then makes the conversation look at them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rc_protos import errors
from rc_protos.model import Request, RequestState

if TYPE_CHECKING:
    from rc_daemon.store.tx import Tx

QUEUE = "prompts"
# Answers on their way to the coding agent, by request id.
ANSWERS = "answers"


def queue_prompt(tx: Tx, task_id: str, text: str, *, actor: str = "local", automatic: bool = False) -> int:
    """Accept a prompt durably, append `task.prompt` and return its number within the task (from 1)."""
    queue = tx.get_doc(QUEUE, task_id) or {"accepted": 0, "waiting": []}
    number = int(queue["accepted"]) + 1
    queue["accepted"] = number
    queue["waiting"].append({"number": number, "text": text})
    tx.put_doc(QUEUE, task_id, queue)
    payload: dict[str, Any] = {"text": text, "prompt": number}
    if automatic:
        payload["automatic"] = True
    tx.append("task.prompt", task_id, payload, actor=actor)
    return number


def waiting_prompts(tx: Tx, task_id: str) -> list[tuple[int, str]]:
    """The prompts that were accepted and not yet sent, oldest first."""
    queue = tx.get_doc(QUEUE, task_id) or {"waiting": []}
    return [(int(entry["number"]), str(entry["text"])) for entry in queue["waiting"]]


def take_prompt(tx: Tx, task_id: str, number: int) -> None:
    """Take a prompt off the queue, in the transaction that sends it; its text is kept until the next one is."""
    queue = tx.get_doc(QUEUE, task_id)
    if queue is None:
        return
    queue["taken"] = next((entry["text"] for entry in queue["waiting"] if entry["number"] == number), "")
    queue["waiting"] = [entry for entry in queue["waiting"] if entry["number"] != number]
    tx.put_doc(QUEUE, task_id, queue)


def continuation(tx: Tx, task_id: str, continue_prompt: str, *, heard: bool, remembers: bool) -> str:
    """What a coding agent is told whose turn was cut.

    A prompt that it never showed to have (`heard` is false) may not have reached it; a transcript that was brought into
    another sandbox (`remembers` is false) may be older than the prompt.
    """
    prompt = str((tx.get_doc(QUEUE, task_id) or {}).get("taken", ""))
    if not prompt or remembers:
        return continue_prompt
    return f"{continue_prompt}\n\nThe request was:\n\n{prompt}" if heard else prompt


def record_answer(
    tx: Tx, request_id: str, *, approve: bool, option_id: str = "", because: str = "", actor: str = "local"
) -> Request:
    """Answer a pending request durably and append `request.answered`; raises precondition for a second answer."""
    request = tx.get_request(request_id)
    if request is None:
        raise errors.not_found(f"there is no request {request_id}", "list them with: rc inbox")
    if request.state is not RequestState.PENDING:
        raise errors.precondition(_too_late(request))
    if option_id and option_id not in {option.id for option in request.options}:
        offered = ", ".join(option.id for option in request.options) or "none"
        raise errors.usage(f"request {request_id} offers no option {option_id}", f"it offers: {offered}")
    answered = replace(
        request,
        state=RequestState.APPROVED if approve else RequestState.DENIED,
        answered_at=datetime.now(UTC),
        answered_by=actor,
        because=because,
    )
    tx.put_request(answered)
    tx.append(
        "request.answered",
        request.task_id,
        {"id": request_id, "approve": approve, "option_id": option_id, "because": because},
        actor=actor,
    )
    tx.put_doc(ANSWERS, request_id, {"approve": approve, "option_id": option_id, "because": because})
    return answered


def _too_late(request: Request) -> str:
    if request.state is RequestState.WITHDRAWN:
        return f"request {request.id} was withdrawn: its turn ended before an answer"
    by = f" by {request.answered_by}" if request.answered_by else ""
    return f"request {request.id} was {request.state}{by} already"
