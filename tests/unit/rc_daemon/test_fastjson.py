from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rc_client import fast
from rc_daemon.fastjson import BODY_MOST
from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Task, TaskSpec, TaskState
from rc_protos.version import PROTOCOL
from support.servers import Servers

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DEADLINE = 20
LIST = "/rc.v1.EventService/ListEvents"


@dataclass
class Raw:
    """A connection to the JSON socket, bare."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, path: str, body: bytes = b"{}", method: str = "POST", headers: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: rc\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)

    async def answer(self) -> tuple[int, dict[str, Any]]:
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split()[0])
            assert "content-type: application/json" in head
            return int(head.split()[1]), json.loads(await self.reader.readexactly(length))

    async def call(self, path: str, body: bytes = b"{}", **more: str) -> tuple[int, dict[str, Any]]:
        self.send(path, body, **more)
        return await self.answer()


@asynccontextmanager
async def raw(servers: Servers) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_unix_connection(str(servers.places.json_socket))
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def call(method: str, request: dict[str, Any] | None = None) -> Any:
    return await asyncio.to_thread(fast.call, method, request, start=False)


async def test_the_socket_is_private(servers: Servers) -> None:
    assert stat.S_IMODE(servers.places.json_socket.stat().st_mode) == 0o600


async def test_a_call_is_a_post_of_json(servers: Servers) -> None:
    seq = await servers.store.transact(lambda tx: tx.append("notice", "t1", {"text": "ü"}))
    found = await call("EventService.ListEvents")
    assert found["lastSeq"] == str(seq)
    assert json.loads(found["events"][0]["payload"]) == {"text": "ü"}
    assert await call("EventService.ListEvents", {"afterSeq": seq, "inventedLater": 1}) == {"lastSeq": str(seq)}


async def test_errors_come_back_whole(servers: Servers) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await call("EventService.ListEvents", {"task": "nobody"})
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert caught.value.message == "there is no task 'nobody'"
    assert caught.value.hint == "rc ls zeigt sie: für alle"
    async with raw(servers) as connection:
        status, said = await connection.call(LIST, b'{"task": "nobody"}')
    assert (status, said["code"], said["rcCode"]) == (404, "not_found", "not_found")


async def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await call("SandboxService.ListSandboxes")
    assert caught.value.code is ErrorCode.INTERNAL
    assert caught.value.message.endswith("ValueError: a defect")
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "method", "status", "code"),
    [
        (LIST, b"{", "POST", 400, "invalid_argument"),
        (LIST, b"[1]", "POST", 400, "invalid_argument"),
        (LIST, b'{"afterSeq": "x"}', "POST", 400, "invalid_argument"),
        (LIST, b"\xff\xfe", "POST", 400, "invalid_argument"),
        (LIST, b"", "GET", 501, "unimplemented"),
        ("/rc.v1.EventService/Nothing", b"{}", "POST", 501, "unimplemented"),
        # Streams are for gRPC.
        ("/rc.v1.EventService/WatchEvents", b"{}", "POST", 501, "unimplemented"),
        ("/", b"{}", "POST", 501, "unimplemented"),
    ],
)
async def test_what_cannot_be_answered_is_refused_and_the_connection_lives(
    servers: Servers, path: str, body: bytes, method: str, status: int, code: str
) -> None:
    async with raw(servers) as connection:
        found, said = await connection.call(path, body, method=method)
        assert (found, said["code"]) == (status, code)
        assert "\n" not in said["message"]
        assert (await connection.call(LIST))[0] == 200


async def test_requests_follow_each_other_on_one_connection(servers: Servers) -> None:
    async with raw(servers) as connection:
        for _ in range(3):
            connection.send(LIST)
        assert [await connection.answer() for _ in range(3)] == [(200, {})] * 3


async def test_a_body_that_comes_in_pieces(servers: Servers) -> None:
    async with raw(servers) as connection:
        connection.writer.write(f"POST {LIST} HTTP/1.1\r\nhost: rc\r\ncontent-length: 2\r\n\r\n{{".encode())
        await asyncio.sleep(0.02)
        connection.writer.write(b"}")
        assert await connection.answer() == (200, {})


async def test_what_is_not_http_is_told_so(servers: Servers) -> None:
    async with raw(servers) as connection:
        connection.writer.write(b"\x00\x01 hello\r\n\r\n")
        status, said = await connection.answer()
        assert (status, said["rcCode"]) == (400, "usage")
        assert await connection.reader.read() == b""


async def test_a_request_without_measure_is_refused(servers: Servers) -> None:
    async with raw(servers) as connection:
        connection.send(LIST, b" " * (BODY_MOST + 1))
        status, said = await connection.answer()
    assert (status, said["rcCode"]) == (429, "exhausted")


async def test_a_client_hears_why_even_if_it_was_still_sending(servers: Servers) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await asyncio.to_thread(fast.call, "EventService.ListEvents", {"task": "x" * (3 * BODY_MOST)}, start=False)
    assert caught.value.code is ErrorCode.EXHAUSTED


async def test_a_newer_client_is_told_to_restart_the_daemon(servers: Servers) -> None:
    async with raw(servers) as connection:
        for path in (LIST, "/rc.v1.TaskService/ListTasks"):
            status, said = await connection.call(path, headers=f"rc-protocol: {PROTOCOL + 1}\r\n")
            assert (status, said["rcCode"]) == (400, "precondition")
            assert "rc daemon restart" in said["hint"]


async def test_a_deadline_that_passes(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(DEADLINE)

    monkeypatch.setattr(servers.store, "read", slow)
    async with raw(servers) as connection:
        status, said = await connection.call(LIST, headers="connect-timeout-ms: 20\r\n")
    assert (status, said["rcCode"]) == (504, "timeout")


async def test_a_client_that_leaves_harms_nobody(servers: Servers) -> None:
    for _ in range(20):
        async with raw(servers) as connection:
            connection.send(LIST)
    assert await call("EventService.ListEvents") == {}


def task(number: int, state: TaskState = TaskState.WORKING) -> Task:
    return Task(ids.new_id(), TaskSpec(f"prompt {number}", name=f"task-{number}"), state, NOW, NOW)


async def test_rows_of_tasks_follow_every_change(servers: Servers) -> None:
    tasks = [task(number) for number in range(5)] + [task(5, TaskState.REMOVED)]
    await servers.store.transact(lambda tx: [tx.put_task(each) for each in tasks])
    rows = (await call("TaskService.ListTasks"))["tasks"]
    assert [row["spec"]["name"] for row in rows] == [f"task-{number}" for number in range(5)]
    assert rows[0]["state"] == "TASK_STATE_WORKING"
    seq = await servers.store.transact(lambda tx: tx.append("notice", tasks[2].id))
    await servers.store.transact(lambda tx: tx.delete_task(tasks[0].id))
    rows = (await call("TaskService.ListTasks"))["tasks"]
    assert [row.get("lastSeq") for row in rows] == [None, str(seq), None, None]


async def test_brief_rows_hold_what_a_table_shows(servers: Servers) -> None:
    long = replace(task(1), spec=TaskSpec("word  \n" * 1000, name="long", provider="local"), evidence=("x",))
    busy = replace(task(2), activity="Edit foo.py", saved_at=NOW, reason="why")
    await servers.store.transact(lambda tx: [tx.put_task(each) for each in (long, busy)])
    first, second = (await call("TaskService.ListTasks", {"brief": True}))["tasks"]
    prompt = " ".join(["word"] * 12)
    assert first["spec"] == {"prompt": prompt, "name": "long", "codingAgent": "claude", "provider": "local"}
    assert set(second) == {"id", "spec", "state", "createdAt", "savedAt", "activity", "reason"}
    assert "prompt" not in second["spec"]
    full, _ = (await call("TaskService.ListTasks"))["tasks"]
    assert full["spec"]["prompt"] == long.spec.prompt
    assert full["evidence"] == ["x"]


async def test_no_task_is_an_empty_list(servers: Servers) -> None:
    assert await call("TaskService.ListTasks") == {"tasks": []}
