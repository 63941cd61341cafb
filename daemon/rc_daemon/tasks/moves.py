"""Which moves between the states of a task exist; every change of state goes through `check`."""

from __future__ import annotations

from rc_protos import errors
from rc_protos.model import TaskState as S

# In these states a task holds one of the running slots.
RUNNING = frozenset({S.PROVISIONING, S.PREPARING, S.WORKING})

_ENDS = frozenset({S.STOPPED, S.DONE, S.FAILED, S.REMOVED})

LEGAL: dict[S, frozenset[S]] = {
    S.QUEUED: frozenset({S.PROVISIONING, S.PREPARING, S.WORKING, S.WAITING}) | _ENDS,
    S.PROVISIONING: frozenset({S.PREPARING, S.WORKING, S.WAITING}) | _ENDS,
    S.PREPARING: frozenset({S.PROVISIONING, S.WORKING, S.WAITING}) | _ENDS,
    S.WORKING: frozenset({S.PROVISIONING, S.PREPARING, S.WAITING}) | _ENDS,
    S.WAITING: frozenset({S.QUEUED, S.PROVISIONING, S.PREPARING, S.WORKING}) | _ENDS,
    # A settled task works again only through the queue.
    S.STOPPED: frozenset({S.QUEUED, S.REMOVED}),
    S.DONE: frozenset({S.QUEUED, S.REMOVED}),
    S.FAILED: frozenset({S.QUEUED, S.REMOVED}),
    S.REMOVED: frozenset(),
}


def legal(before: S, after: S) -> bool:
    """Whether a task may go from one state to the other; staying is always allowed."""
    return before is after or after in LEGAL[before]


def check(before: S, after: S) -> None:
    """Raise internal for a move that does not exist: a defect, caught before it is recorded."""
    if not legal(before, after):
        raise errors.internal(f"a task cannot go from {before} to {after}")
