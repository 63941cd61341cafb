"""Tasks by what people type."""

from __future__ import annotations

from difflib import get_close_matches

from rc_daemon.store.tx import Tx
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Task, TaskState


def find_task(tx: Tx, word: str) -> Task:
    """The task of this name, id, or unique beginning of an id; raises not_found or ambiguous."""
    found = tx.find_tasks(word)
    living = [task for task in found if task.state is not TaskState.REMOVED]
    if len(living) == 1:
        return living[0]
    if len(found) == 1:
        return found[0]
    if not found:
        raise errors.not_found(f"there is no task {word!r}", _near(tx, word))
    names = ", ".join(task.name for task in (living or found)[:5])
    raise RemoteClaudeError(f"{word!r} fits {len(found)} tasks", f"such as: {names}", code=ErrorCode.AMBIGUOUS)


def _near(tx: Tx, word: str) -> str:
    names = [task.name for task in tx.list_tasks()]
    near = [name for name in names if word and name.startswith(word)] or get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else "list them with: rc ls"
