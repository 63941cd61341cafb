from __future__ import annotations

import asyncio
import stat
from contextlib import aclosing

import grpc
import pytest

from rc_client.channel import PROTOCOL_METADATA, translated
from rc_client.client import DaemonClient
from rc_protos.errors import CODE_KEY, HINT_KEY, ErrorCode, RemoteClaudeError
from rc_protos.v1.event_pb2 import ListEventsRequest
from rc_protos.v1.inbox_pb2 import ListRequestsRequest
from rc_protos.version import PROTOCOL
from support.servers import Servers

DEADLINE = 20


@pytest.fixture
async def client(servers: Servers) -> DaemonClient:
    return await DaemonClient.connect(start=False)


async def test_the_socket_is_private(servers: Servers) -> None:
    assert stat.S_IMODE(servers.places.grpc_socket.stat().st_mode) == 0o600


async def test_calls_give_model_types(servers: Servers, client: DaemonClient) -> None:
    async with client:
        seq = await servers.store.transact(lambda tx: tx.append("notice", "t1", {"text": "ü"}))
        (event,), last = await client.list_events()
        assert (event.seq, event.task_id, event.payload, last) == (seq, "t1", '{"text":"ü"}', seq)
        assert await client.list_events(after_seq=seq) == ([], seq)


async def test_errors_come_back_whole(client: DaemonClient) -> None:
    async with client:
        with pytest.raises(RemoteClaudeError) as caught:
            await client.list_events("nobody")
        assert caught.value.code is ErrorCode.NOT_FOUND
        assert caught.value.message == "there is no task 'nobody'"
        assert caught.value.hint == "rc ls zeigt sie: für alle"
        with pytest.raises(RemoteClaudeError) as caught:
            async for _ in client.watch_events("nobody"):
                pass
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_other_languages_find_the_error_in_the_trailers(client: DaemonClient) -> None:
    async with client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.events.ListEvents(ListEventsRequest(task="nobody"), timeout=DEADLINE)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        trailers = dict(caught.value.trailing_metadata() or ())
        assert trailers[CODE_KEY] == "not_found"
        assert trailers[HINT_KEY] == "rc ls zeigt sie: für alle".encode()


async def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(
    client: DaemonClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with client:
        with pytest.raises(RemoteClaudeError) as caught:
            await client.list_sandboxes()
    assert caught.value.code is ErrorCode.INTERNAL
    assert caught.value.message.endswith("ValueError: a defect")
    assert "Traceback" in caplog.text


async def test_a_newer_client_is_told_to_restart_the_daemon(client: DaemonClient) -> None:
    newer = (("rc-protocol", str(PROTOCOL + 1)),)
    async with client:
        with pytest.raises(RemoteClaudeError) as caught, translated():
            await client.events.ListEvents(ListEventsRequest(), metadata=newer, timeout=DEADLINE)
        assert caught.value.code is ErrorCode.PRECONDITION
        assert "rc daemon restart" in caught.value.hint


async def test_a_method_of_a_newer_client_is_told_to_restart_the_daemon(client: DaemonClient) -> None:
    # This daemon has no inbox: as one that is older than the method.
    async with client:
        with pytest.raises(RemoteClaudeError) as caught, translated():
            await client.inbox.ListRequests(ListRequestsRequest(), metadata=PROTOCOL_METADATA, timeout=DEADLINE)
    assert caught.value.code is ErrorCode.PRECONDITION
    assert "rc daemon restart" in caught.value.hint


async def test_calls_for_a_sandbox_name_one(client: DaemonClient) -> None:
    async with client:
        with pytest.raises(RemoteClaudeError, match="there is no sandbox nowhere") as caught:
            await client.list_sessions("nowhere")
        assert caught.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(RemoteClaudeError) as caught:
            await client.list_sessions("")
        assert caught.value.code is ErrorCode.USAGE


async def test_watching_catches_up_and_goes_on_live(servers: Servers, client: DaemonClient) -> None:
    await servers.store.transact(lambda tx: [tx.append("notice", "t1") for _ in range(700)])
    seen: list[int] = []
    async with client, asyncio.timeout(DEADLINE), aclosing(client.watch_batches(after_seq=5)) as batches:
        async for batch in batches:
            seen += [event.seq for event in batch]
            if not batch and len(seen) < 700:
                await servers.store.transact(lambda tx: [tx.append("notice", "t2") for _ in range(5)])
            if seen and seen[-1] >= 705:
                break
    assert seen == list(range(6, 706))


async def test_watchers_that_leave_are_forgotten(servers: Servers, client: DaemonClient) -> None:
    async with client, asyncio.timeout(DEADLINE):
        for _ in range(5):
            async with aclosing(client.watch_batches()) as batches:
                async for _ in batches:
                    break
        while servers.store._watchers:
            await asyncio.sleep(0.01)
