from __future__ import annotations

import pytest
from support.linked import PATIENCE, linked

from rc_daemon.links.calls import unary
from rc_daemon.tasks import inside
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import session_pb2 as pb


async def test_scripts_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked() as at:
        await at.link.up(PATIENCE)
        done = await inside.script(at.link, 'echo "$WORD"; echo no >&2; exit 3', {"WORD": "yes"}, name="both")
        assert (done.code, done.out, done.err, done.why) == (3, "yes\n", "no\n", "no")
        monkeypatch.setattr(inside, "SCRIPT_SECONDS", 0.3)
        with pytest.raises(RemoteClaudeError) as caught:
            await inside.script(at.link, "sleep 600", {}, name="slow")
        assert caught.value.code is ErrorCode.TIMEOUT
        assert not (await unary(at.link.sessions.ListSessions, pb.ListSessionsRequest())).sessions
