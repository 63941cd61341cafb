"""Moves between states: what exists, what does not."""

from __future__ import annotations

import itertools

import pytest

from rc_daemon.tasks import moves
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import TaskState as S


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_every_pair_of_states_is_decided(before: S, after: S) -> None:
    if moves.legal(before, after):
        moves.check(before, after)
        return
    with pytest.raises(RemoteClaudeError) as caught:
        moves.check(before, after)
    assert caught.value.code is ErrorCode.INTERNAL


def test_a_removed_task_stays_removed() -> None:
    assert [after for after in S if moves.legal(S.REMOVED, after)] == [S.REMOVED]


@pytest.mark.parametrize("settled", [state for state in S if state.settled and state is not S.REMOVED])
def test_a_settled_task_works_again_only_through_the_queue(settled: S) -> None:
    assert {after for after in S if moves.legal(settled, after)} == {settled, S.QUEUED, S.REMOVED}


@pytest.mark.parametrize("state", [state for state in S if not state.settled])
def test_whatever_runs_can_end(state: S) -> None:
    assert all(moves.legal(state, end) for end in (S.STOPPED, S.DONE, S.FAILED, S.REMOVED))
