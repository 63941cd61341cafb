from __future__ import annotations

import json

import pytest
from grpclib.exceptions import GRPCError, StreamTerminatedError

from rc_protos.v1 import health_pb2 as pb
from rc_protos.v1 import session_pb2
from support.agent import AgentProcess, Client, connected


async def refused(call: object) -> GRPCError:
    with pytest.raises(GRPCError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_hello_tells_who_it_is(client: Client, agent: AgentProcess) -> None:
    hello = await client.hello()
    assert (hello.protocol, hello.workspace) == (1, str(agent.workspace).encode())
    assert (hello.home, hello.state_directory) == (str(agent.root).encode(), str(agent.state).encode())
    instance = hello.instance_id
    agent.kill()
    agent.start()
    async with connected(agent) as again:
        assert (await again.hello()).instance_id != instance


@pytest.mark.parametrize("spoken", [(2, 3), (0, 0)])
async def test_a_protocol_without_overlap_is_refused_with_both_ranges(client: Client, spoken: tuple[int, int]) -> None:
    request = pb.HelloRequest(protocol_min=spoken[0], protocol_max=spoken[1], daemon_id="d", epoch=1)
    error = await refused(client.health.Hello(request))
    assert error.status.name == "UNIMPLEMENTED"
    assert error.message == f"the agent speaks protocol 1 to 1, the daemon {spoken[0]} to {spoken[1]}"


async def test_a_newer_placement_cuts_the_older_one_for_ever(client: Client, agent: AgentProcess) -> None:
    await client.hello(3)
    await client.open("s", "sleep", "600")
    async with connected(agent) as newer:
        await newer.hello(4)
        # The connection of the older one is cut; on another one it is refused, after a crash of the agent too.
        with pytest.raises((StreamTerminatedError, GRPCError)):
            await client.get("s")
        for _ in range(2):
            async with connected(agent) as older:
                error = await refused(older.hello(3))
                assert error.status.name == "FAILED_PRECONDITION"
                assert "newer placement (epoch 4, this daemon has 3)" in (error.message or "")
            agent.kill()
            agent.start()
    async with connected(agent) as newer:
        await newer.hello(4)
        assert not (await newer.get("s")).ended


async def test_two_connections_of_one_placement_live_beside_each_other(client: Client, agent: AgentProcess) -> None:
    await client.hello(3)
    async with connected(agent) as second:
        await second.hello(3)
        await client.hello(3)
        assert list((await second.sessions.ListSessions(session_pb2.ListSessionsRequest())).sessions) == []


async def test_a_damaged_record_of_the_epoch_starts_anew(client: Client, agent: AgentProcess) -> None:
    await client.hello(5)
    assert json.loads((agent.state / "epoch.json").read_text())["epoch"] == 5
    agent.kill()
    (agent.state / "epoch.json").write_bytes(b"{")
    agent.start()
    async with connected(agent) as again:
        await again.hello(2)


async def test_every_beat_is_answered(client: Client) -> None:
    async with client.health.Beat.open() as stream:
        for number in (7, 8):
            await stream.send_message(pb.BeatRequest(number=number))
            answer = await stream.recv_message()
            assert answer is not None
            assert answer.number == number
        await stream.end()
        assert await stream.recv_message() is None


@pytest.mark.parametrize("everything", [False, True])
async def test_shutdown_ends_the_agent_and_only_if_asked_the_sessions(
    client: Client, agent: AgentProcess, everything: bool
) -> None:
    await client.open("s", "sleep", "600")
    await client.health.Shutdown(pb.ShutdownRequest(all=everything))
    assert agent.wait() == 0
    agent.start()
    async with connected(agent) as again:
        session = await again.get("s")
    assert session.ended is everything
    assert session.exit.lost == ""
