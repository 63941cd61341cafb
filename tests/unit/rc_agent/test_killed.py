"""kill -9 of the agent around the start of a session: the session is there once, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpclib.exceptions import StreamTerminatedError

from support.agent import connected, running_agent, until
from support.failpoints import armed


@pytest.mark.parametrize("place", ["agent.session.before_holder", "agent.session.after_holder"])
async def test_killed_at(place: str, hit_log: Path) -> None:
    with running_agent() as agent:
        agent.kill()
        agent.start(**armed(place, hit_log))
        command = ("s1", "/bin/sh", "-c", f"echo run >> {agent.workspace}/count; exec sleep 600")
        async with connected(agent) as client:
            await client.hello()
            with pytest.raises((StreamTerminatedError, OSError)):
                await client.open(*command)
        assert hit_log.read_text().split() == [place]
        agent.wait()
        agent.start()
        async with connected(agent) as client:
            await client.hello()
            assert (await client.open(*command)).id == "s1"
            await until((agent.workspace / "count").exists)
            assert (await client.open(*command)).id == "s1"
            assert (agent.workspace / "count").read_text() == "run\n"
