"""The daemon's services as methods that take and give model types."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from rc_client.channel import PROTOCOL_METADATA, open_channel, streaming, translated
from rc_client.places import PlaceCalls
from rc_client.start import ensure
from rc_protos.convert import from_message, timestamp, to_message
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import (
    Check,
    CodingAgent,
    ConfigValue,
    DaemonStatus,
    Event,
    Port,
    Request,
    Session,
    Task,
    TaskSpec,
    TerminalSize,
)
from rc_protos.paths import Paths
from rc_protos.platform import socket_address
from rc_protos.v1 import (
    coding_agent_pb2,
    daemon_pb2,
    event_pb2,
    forward_pb2,
    inbox_pb2,
    session_pb2,
    task_pb2,
)
from rc_protos.v1.coding_agent_pb2_grpc import CodingAgentServiceStub
from rc_protos.v1.daemon_pb2_grpc import DaemonServiceStub
from rc_protos.v1.event_pb2_grpc import EventServiceStub
from rc_protos.v1.file_pb2_grpc import FileServiceStub
from rc_protos.v1.forward_pb2_grpc import ForwardServiceStub
from rc_protos.v1.health_pb2_grpc import HealthServiceStub
from rc_protos.v1.inbox_pb2_grpc import InboxServiceStub
from rc_protos.v1.sandbox_pb2_grpc import SandboxServiceStub
from rc_protos.v1.session_pb2_grpc import SessionServiceStub
from rc_protos.v1.task_pb2_grpc import TaskServiceStub

CALL_SECONDS = 60.0
# Stopping and removing save work first; a big repository takes its time.
LONG_SECONDS = 600.0
# How long a call waits for the connection.
READY_SECONDS = 5.0
PAUSE, LONGEST_PAUSE = 0.05, 0.5
# How long a new session waits for a daemon or a link that is away.
OPEN_SECONDS = 10.0
# How long a watch waits for a daemon that went away before it starts one.
AWAY_SECONDS = 3.0


class DaemonClient(PlaceCalls):
    """One connection to the daemon; every method raises RemoteClaudeError."""

    def __init__(self, channel: grpc.aio.Channel, places: Paths, names: ExitStack | None = None) -> None:
        self._channel, self._places, self._names = channel, places, names or ExitStack()
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.inbox = InboxServiceStub(channel)
        self.daemon = DaemonServiceStub(channel)
        self.coding_agents = CodingAgentServiceStub(channel)
        self.sandboxes = SandboxServiceStub(channel)
        self.health = HealthServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.forwards = ForwardServiceStub(channel)
        self.files = FileServiceStub(channel)

    @classmethod
    async def connect(cls, *, start: bool = True) -> Self:
        """Connect, starting the daemon if it does not run."""
        places = await asyncio.to_thread(ensure, start=start)
        names = ExitStack()
        # It connects again by itself: a short name for a long path must hold as long as it does.
        address = names.enter_context(socket_address(places.grpc_socket))
        return cls(open_channel(address), places, names)

    async def revive(self, away: float) -> None:
        """Start a daemon in place of one that has crashed; of one that was stopped only after some seconds `away`.

        A crashed one has left its socket behind.
        """
        if away > AWAY_SECONDS or self._places.grpc_socket.exists():
            await asyncio.to_thread(ensure, self._places)

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()
        self._names.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # tasks

    async def create_task(
        self,
        spec: TaskSpec,
        *,
        credentials: Mapping[str, str] | None = None,
        request_id: str = "",
        directory: str = "",
    ) -> tuple[Task, list[str]]:
        """A new task, durable when this returns, and one line each for the person."""
        request = task_pb2.CreateTaskRequest(
            spec=to_message(spec, task_pb2.TaskSpec),
            credentials=credentials or {},
            request_id=request_id,
            directory=directory,
        )
        answer = await self._call(self.tasks.CreateTask, request)
        return from_message(answer.task, Task), list(answer.notices)

    async def list_tasks(self, filters: Sequence[str] = (), *, include_removed: bool = False) -> list[Task]:
        """Oldest first."""
        request = task_pb2.ListTasksRequest(filters=filters, include_removed=include_removed)
        answer = await self._call(self.tasks.ListTasks, request)
        return [from_message(each, Task) for each in answer.tasks]

    async def get_task(self, task: str) -> Task:
        """By id, unique prefix or name."""
        return await self._task(self.tasks.GetTask, task_pb2.GetTaskRequest(task=task))

    async def say_task(
        self, task: str, text: str, *, credentials: Mapping[str, str] | None = None, request_id: str = ""
    ) -> Task:
        """Add a message."""
        request = task_pb2.SayTaskRequest(task=task, text=text, credentials=credentials or {}, request_id=request_id)
        return await self._task(self.tasks.SayTask, request)

    async def cancel_turn(self, task: str) -> Task:
        """End the running turn."""
        return await self._task(self.tasks.CancelTurn, task_pb2.CancelTurnRequest(task=task))

    async def stop_task(self, task: str) -> Task:
        """End the processes, keep everything."""
        return await self._task(self.tasks.StopTask, task_pb2.StopTaskRequest(task=task), LONG_SECONDS)

    async def resume_task(self, task: str, *, credentials: Mapping[str, str] | None = None) -> Task:
        """Start the processes again."""
        request = task_pb2.ResumeTaskRequest(task=task, credentials=credentials or {})
        return await self._task(self.tasks.ResumeTask, request)

    async def retry_task(self, task: str, *, credentials: Mapping[str, str] | None = None) -> Task:
        """A new task with the same definition."""
        request = task_pb2.RetryTaskRequest(task=task, credentials=credentials or {})
        return await self._task(self.tasks.RetryTask, request)

    async def move_task(self, task: str, provider: str) -> Task:
        """To another provider; events tell how it goes."""
        return await self._task(self.tasks.MoveTask, task_pb2.MoveTaskRequest(task=task, provider=provider))

    async def remove_task(self, task: str, *, discard: bool = False) -> Task:
        """Save unmerged work, then remove."""
        request = task_pb2.RemoveTaskRequest(task=task, discard=discard)
        return await self._task(self.tasks.RemoveTask, request, LONG_SECONDS)

    async def diff_task(self, task: str, *, stat: bool = False, color: bool = False) -> AsyncIterator[bytes]:
        """The work as a patch, in chunks."""
        request = task_pb2.DiffTaskRequest(task=task, stat=stat, color=color)
        call = self.tasks.DiffTask(request, timeout=LONG_SECONDS, metadata=PROTOCOL_METADATA)
        with streaming(call) as answers:
            async for answer in answers:
                yield answer.data

    async def apply_task(self, task: str, directory: str) -> list[str]:
        """Into the working tree; the files changed."""
        request = task_pb2.ApplyTaskRequest(task=task, directory=directory)
        return list((await self._call(self.tasks.ApplyTask, request, LONG_SECONDS)).files)

    async def fetch_task(self, task: str, directory: str, *, branch: str = "") -> tuple[str, str]:
        """As a local branch: (branch, commit)."""
        request = task_pb2.FetchTaskRequest(task=task, directory=directory, branch=branch)
        answer = await self._call(self.tasks.FetchTask, request, LONG_SECONDS)
        return answer.branch, answer.commit

    async def open_native(
        self, task: str, size: TerminalSize, term: str, *, credentials: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """The coding agent's own TUI: (sandbox id, session id)."""
        request = task_pb2.OpenNativeRequest(
            task=task, columns=size.columns, rows=size.rows, term=term, credentials=credentials or {}
        )
        answer = await self._call(self.tasks.OpenNative, request, LONG_SECONDS)
        return answer.sandbox_id, answer.session_id

    # events

    async def list_events(
        self,
        task: str = "",
        *,
        after_seq: int = 0,
        limit: int = 0,
        tail: int = 0,
        since: datetime | None = None,
        kinds: Sequence[str] = (),
    ) -> tuple[list[Event], int]:
        """Oldest first, and the sequence number to watch on from."""
        request = event_pb2.ListEventsRequest(
            task=task,
            after_seq=after_seq,
            limit=limit,
            tail=tail,
            since=timestamp(since) if since else None,
            kinds=kinds,
        )
        answer = await self._call(self.events.ListEvents, request)
        return [from_message(each, Event) for each in answer.events], answer.last_seq

    async def watch_events(
        self, task: str = "", *, after_seq: int = 0, kinds: Sequence[str] = ()
    ) -> AsyncIterator[Event]:
        """Live, each event once, over restarts of the daemon; a daemon that stays away is started again."""
        async for batch in self.watch_batches(task, after_seq=after_seq, kinds=kinds):
            for event in batch:
                yield event

    async def watch_batches(
        self, task: str = "", *, after_seq: int = 0, kinds: Sequence[str] = ()
    ) -> AsyncIterator[list[Event]]:
        """As `watch_events`, in batches; an empty batch says that everything so far has been given."""
        position, pause, away = after_seq, PAUSE, 0.0
        while True:
            request = event_pb2.WatchEventsRequest(task=task, after_seq=position, kinds=kinds)
            try:
                with streaming(self.events.WatchEvents(request, metadata=PROTOCOL_METADATA)) as answers:
                    async for answer in answers:
                        pause, away = PAUSE, 0.0
                        yield [from_message(each, Event) for each in answer.events]
                        position = max(position, answer.caught_up_seq)
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            away += pause
            pause = min(pause * 2, LONGEST_PAUSE)
            await self.revive(away)

    # inbox

    async def list_requests(self, task: str = "", *, include_answered: bool = False) -> list[Request]:
        """What waits for the human."""
        request = inbox_pb2.ListRequestsRequest(task=task, include_answered=include_answered)
        answer = await self._call(self.inbox.ListRequests, request)
        return [from_message(each, Request) for each in answer.requests]

    async def answer_request(self, request: str, *, approve: bool, because: str = "", option_id: str = "") -> Request:
        """Answer once."""
        message = inbox_pb2.AnswerRequestRequest(request=request, approve=approve, because=because, option_id=option_id)
        answer = await self._call(self.inbox.AnswerRequest, message)
        return from_message(answer.request, Request)

    # daemon, coding agents

    async def get_status(self) -> DaemonStatus:
        """How the daemon is."""
        return from_message(await self._call(self.daemon.GetStatus, daemon_pb2.GetStatusRequest()), DaemonStatus)

    async def stop_daemon(self) -> None:
        """End it; tasks live on."""
        await self._call(self.daemon.StopDaemon, daemon_pb2.StopDaemonRequest())

    async def diagnose(self, directory: str, credential_names: Sequence[str]) -> list[Check]:
        """Checks of this machine."""
        request = daemon_pb2.DiagnoseRequest(directory=directory, credential_names=credential_names)
        answer = await self._call(self.daemon.Diagnose, request)
        return [from_message(each, Check) for each in answer.checks]

    async def collect_garbage(self, *, dry_run: bool = False) -> tuple[list[str], int]:
        """What was removed, and how many bytes that freed."""
        request = daemon_pb2.CollectGarbageRequest(dry_run=dry_run)
        answer = await self._call(self.daemon.CollectGarbage, request, LONG_SECONDS)
        return list(answer.removed), answer.freed_bytes

    async def get_config(self, directory: str, environment: Mapping[str, str]) -> list[ConfigValue]:
        """Merged settings with their origins."""
        request = daemon_pb2.GetConfigRequest(directory=directory, environment=environment)
        answer = await self._call(self.daemon.GetConfig, request)
        return [from_message(each, ConfigValue) for each in answer.values]

    async def set_config(self, key: str, value: str) -> tuple[ConfigValue, str]:
        """Write one setting: (value, file)."""
        answer = await self._call(self.daemon.SetConfig, daemon_pb2.SetConfigRequest(key=key, value=value))
        return from_message(answer.value, ConfigValue), answer.file

    async def list_coding_agents(self, name: str = "") -> list[CodingAgent]:
        """What is installed."""
        request = coding_agent_pb2.ListCodingAgentsRequest(name=name)
        answer = await self._call(self.coding_agents.ListCodingAgents, request)
        return [from_message(each, CodingAgent) for each in answer.coding_agents]

    async def install_coding_agent(self, name: str) -> AsyncIterator[tuple[str, int, int]]:
        """Progress: (message, done, total) in bytes."""
        request = coding_agent_pb2.InstallCodingAgentRequest(name=name)
        with streaming(self.coding_agents.InstallCodingAgent(request, metadata=PROTOCOL_METADATA)) as steps:
            async for step in steps:
                if step.message:
                    yield step.message, step.done, step.total

    # sessions; the bytes go through rc_client.session

    async def open_session(self, sandbox_id: str, session_id: str, **fields: Any) -> Session:
        """Start a process in a sandbox; fields as in OpenSessionRequest. Asked again after a cut."""
        request = session_pb2.OpenSessionRequest(session_id=session_id, **fields)
        pause, away = PAUSE, 0.0
        while True:
            try:
                answer = await self._call(self.sessions.OpenSession, request, sandbox_id=sandbox_id)
                return from_message(answer.session, Session)
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE or away > OPEN_SECONDS:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            away += pause
            pause = min(pause * 2, LONGEST_PAUSE)
            await self.revive(away)

    async def list_sessions(self, sandbox_id: str) -> list[Session]:
        """Of one sandbox."""
        answer = await self._call(self.sessions.ListSessions, session_pb2.ListSessionsRequest(), sandbox_id=sandbox_id)
        return [from_message(each, Session) for each in answer.sessions]

    async def signal_session(self, sandbox_id: str, session_id: str, number: int) -> None:
        """Signal the foreground process group."""
        request = session_pb2.SignalSessionRequest(session_id=session_id, signal=number)
        await self._call(self.sessions.SignalSession, request, sandbox_id=sandbox_id)

    async def resize_session(self, sandbox_id: str, session_id: str, size: TerminalSize) -> None:
        """Change a terminal's size."""
        wire = session_pb2.TerminalSize(columns=size.columns, rows=size.rows)
        request = session_pb2.ResizeSessionRequest(session_id=session_id, size=wire)
        await self._call(self.sessions.ResizeSession, request, sandbox_id=sandbox_id)

    async def close_session(self, sandbox_id: str, session_id: str) -> None:
        """End the process tree."""
        request = session_pb2.CloseSessionRequest(session_id=session_id)
        await self._call(self.sessions.CloseSession, request, sandbox_id=sandbox_id)

    async def watch_ports(self, task: str) -> AsyncIterator[list[Port]]:
        """What listens in a task's sandbox, told anew at each change, over cuts and moves."""
        pause = PAUSE
        while True:
            metadata = (*PROTOCOL_METADATA, ("rc-sandbox", (await self.get_task(task)).sandbox_id))
            try:
                request = forward_pb2.WatchPortsRequest(follow=True)
                with streaming(self.forwards.WatchPorts(request, metadata=metadata)) as answers:
                    async for answer in answers:
                        pause = PAUSE
                        yield [from_message(each, Port) for each in answer.ports]
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _task(self, method: Any, request: Any, timeout: float = CALL_SECONDS) -> Task:
        return from_message((await self._call(method, request, timeout)).task, Task)

    async def _call(self, method: Any, request: Any, timeout: float = CALL_SECONDS, *, sandbox_id: str = "") -> Any:
        metadata = (*PROTOCOL_METADATA, ("rc-sandbox", sandbox_id)) if sandbox_id else PROTOCOL_METADATA
        await self._ready()
        with translated():
            return await method(request, timeout=timeout, metadata=metadata)

    async def _ready(self) -> None:
        """Wait for a daemon that is being restarted: a call that was never sent may wait, one that was cut may not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                    await self._channel.wait_for_state_change(state)
