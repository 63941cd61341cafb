from __future__ import annotations

import copy
import pickle

import grpc
import pytest
from grpclib.const import Status

from rc_protos import errors
from rc_protos.errors import BORDERS, EXIT_OK, EXIT_TASK_FAILED, ErrorCode, RemoteClaudeError, from_wire

# Connect's own codes and what each is in HTTP (connectrpc.com, "Protocol reference", error codes).
CONNECT = {
    "canceled": 499,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_the_same_on_every_border(code: ErrorCode) -> None:
    border = BORDERS[code]
    # Both stacks know the status by this name and number.
    assert grpc.StatusCode[border.grpc].value[0] == Status[border.grpc].value
    assert CONNECT[border.connect] == border.http
    spelled = border.grpc.lower()
    assert border.connect == {"cancelled": "canceled"}.get(spelled, spelled)


def test_the_table_is_whole_and_exit_codes_are_told_apart() -> None:
    assert BORDERS.keys() == set(ErrorCode)
    exits = [border.exit for border in BORDERS.values()]
    assert len(set(exits)) == len(exits)
    # Not success, not a failed task, not what shells keep for themselves; 130 is what they say of an interrupt.
    taken = {EXIT_OK, EXIT_TASK_FAILED, *range(126, 256)} - {130}
    assert not taken & set(exits)
    assert BORDERS[ErrorCode.CANCELLED].exit == 130


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_survives_the_wire_and_a_process_border(code: ErrorCode) -> None:
    error = RemoteClaudeError("what failed", "what to do", code=code)
    wired = from_wire(str(code), error.message, error.hint, grpc_status=error.border.grpc)
    for again in (wired, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is RemoteClaudeError
        assert (again.code, again.message, again.hint) == (code, "what failed", "what to do")


def test_a_code_of_a_newer_side_falls_back_to_its_status() -> None:
    assert from_wire("too_sunny", "m", grpc_status="NOT_FOUND").code is ErrorCode.NOT_FOUND
    assert from_wire("", "m", grpc_status="INVALID_ARGUMENT").code is ErrorCode.USAGE
    assert from_wire("", "m", grpc_status="OUT_OF_RANGE").code is ErrorCode.INTERNAL
    assert from_wire("", "m").code is ErrorCode.INTERNAL


@pytest.mark.parametrize("code", [code for code in ErrorCode if hasattr(errors, code.value)])
def test_a_constructor_makes_what_it_is_named_for(code: ErrorCode) -> None:
    assert getattr(errors, code.value)("m", "h").code is code
