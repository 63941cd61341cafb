"""The composition root: every part of the daemon is made here, and started and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

from rc_daemon.api import coding_agents, daemon, events, inbox, sandboxes, sessions, tasks
from rc_daemon.api.methods import table
from rc_daemon.api.rows import TaskRows
from rc_daemon.coding.catalog import Catalog
from rc_daemon.coding.conversations import Conversations
from rc_daemon.fastjson import JsonServer
from rc_daemon.links import Identity, Links, SandboxLink
from rc_daemon.links.proxy import SandboxProxy
from rc_daemon.server import Server
from rc_daemon.sessions.attach import Attachments
from rc_daemon.sessions.mirror import Mirrors
from rc_daemon.settings import Settings
from rc_daemon.status import Status
from rc_daemon.store.rows import SessionRow
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import clock
from rc_daemon.tasks.inbox import InboxService
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.service import TaskService
from rc_protos import errors, ids
from rc_protos.background import Background
from rc_protos.bundle import build
from rc_protos.model import ExitStatus, LinkState
from rc_protos.paths import Paths
from rc_protos.v1 import coding_agent_pb2, daemon_pb2, event_pb2, inbox_pb2, sandbox_pb2, session_pb2, task_pb2
from rc_protos.version import VERSION
from rc_providers import registry
from rc_providers.base import Provider

log = logging.getLogger("rc.daemon")

# A shell into a task whose processes were stopped brings its sandbox back first.
WAKE_SECONDS = 60.0


class Daemon:
    """All of it; `stop` ends the process."""

    def __init__(self, paths: Paths, stop: Callable[[], None]) -> None:
        self._paths = paths
        self._stop = stop
        self._background = Background("daemon")
        self._closing = contextlib.AsyncExitStack()
        self._providers: list[Provider] = []

    async def start(self) -> None:
        """Bring every part up, take up every task, then serve."""
        settings = Settings(self._paths)
        store = await Store.open(f"sqlite:///{self._paths.registry}")
        self._closing.push_async_callback(store.close)
        self._closing.push_async_callback(self._close_providers)
        installation = await store.transact(_installation)
        bundle = await asyncio.to_thread(build, self._paths.cache / "bundle")
        links = Links(Identity(installation, VERSION, bundle))
        mirrors = Mirrors(links, self._paths.tasks, self._background, cap=settings.mirror_cap())
        catalog = Catalog(self._paths)
        conversations = Conversations(
            store, links, mirrors, self._background, catalog=catalog, on_change=self._conversation_changed
        )
        parts = Parts(
            store=store,
            links=links,
            conversations=conversations,
            mirrors=mirrors,
            provider=cache(self._provider),
            coding_agent=catalog.get,
            catalog=catalog,
            paths=self._paths,
            background=self._background,
            installation=installation,
            clock=await store.transact(clock.take_up),
            limits=settings.limits(),
            defaults=settings.defaults,
            configured_credentials=settings.credentials,
        )
        self._store, self._links, self._parts = store, links, parts
        self._tasks = TaskService(parts)
        links.listen(self._link_changed)
        mirrors.on_ended = self._session_ended
        await self._tasks.recover()
        await self._serve(mirrors, catalog)
        self._closing.push_async_callback(self._background.close)
        self._closing.push_async_callback(links.close)
        self._closing.push_async_callback(mirrors.close)
        self._closing.push_async_callback(conversations.close)
        self._closing.push_async_callback(self._tasks.close)
        await self._tasks.start()

    async def close(self) -> None:
        """End every part, last first; tasks live on."""
        await self._closing.aclose()

    async def _serve(self, mirrors: Mirrors, catalog: Catalog) -> None:
        attachments = Attachments(mirrors, self._links, self._task_of)
        status = Status(self._parts, self._parts.installation)
        methods = table(
            {
                _service(task_pb2, "TaskService"): tasks.TaskServicer(self._tasks, self._links),
                _service(event_pb2, "EventService"): events.EventServicer(self._store, self._tasks.get),
                _service(inbox_pb2, "InboxService"): inbox.InboxServicer(InboxService(self._parts)),
                _service(session_pb2, "SessionService"): sessions.SessionServicer(attachments),
                _service(sandbox_pb2, "SandboxService"): sandboxes.SandboxServicer(self._parts),
                _service(coding_agent_pb2, "CodingAgentService"): coding_agents.CodingAgentServicer(catalog),
                _service(daemon_pb2, "DaemonService"): daemon.DaemonServicer(status, self._parts, self._stop),
            }
        )
        server = Server(methods, SandboxProxy(self._link_of, self._background))
        json_server = JsonServer(methods, TaskRows(self._tasks.list))
        # The JSON socket first: whoever finds the gRPC socket finds both.
        await json_server.start(self._paths.json_socket)
        self._closing.push_async_callback(json_server.stop)
        await server.start(self._paths.grpc_socket)
        self._closing.push_async_callback(server.stop)

    def _provider(self, name: str) -> Provider:
        self._providers.append(registry.load(name, self._paths.sandboxes))
        return self._providers[-1]

    async def _close_providers(self) -> None:
        for each in self._providers:
            await each.close()

    def _conversation_changed(self, task_id: str) -> None:
        self._tasks.conversation_changed(task_id)

    def _link_changed(self, sandbox_id: str, _state: LinkState) -> None:
        self._tasks.link_changed(sandbox_id)

    def _session_ended(self, task_id: str, session_id: str, status: ExitStatus) -> None:
        self._background.spawn(self._record_end(task_id, session_id, status), f"end of {session_id}")

    async def _record_end(self, task_id: str, session_id: str, status: ExitStatus) -> None:
        def record(tx: Tx) -> None:
            row = tx.get_session_row(session_id) or SessionRow(session_id, task_id, "")
            if row.ended:
                return
            tx.put_session_row(
                SessionRow(row.id, row.task_id, row.sandbox_id, row.kind, row.name, ended=True, exit=status)
            )
            payload = {"id": session_id, "code": status.code, "signal": status.signal, "lost": status.lost}
            tx.append("session.ended", task_id, payload)

        await self._store.transact(record)

    async def _task_of(self, sandbox_id: str) -> str:
        sandbox = await self._store.read(lambda tx: tx.get_sandbox(sandbox_id))
        if sandbox is None:
            raise errors.not_found(f"there is no sandbox {sandbox_id}")
        return sandbox.task_id

    async def _link_of(self, sandbox_id: str) -> SandboxLink:
        """The link a face's call goes over; a sandbox that sleeps is woken."""
        link = self._links.get(sandbox_id)
        if link is None:
            await self._task_of(sandbox_id)
            await self._tasks.wake_sandbox(sandbox_id, WAKE_SECONDS)
            link = self._links.get(sandbox_id)
        if link is None:
            raise errors.unavailable(f"sandbox {sandbox_id} does not run", "run: rc resume")
        return link


def _installation(tx: Tx) -> str:
    """The id that tags every sandbox of this data directory, made at the first start."""
    found = tx.get_doc("installation", "self")
    if found is None:
        found = {"id": ids.new_id()}
        tx.put_doc("installation", "self", found)
    return str(found["id"])


def _service(module: Any, name: str) -> Any:
    return module.DESCRIPTOR.services_by_name[name]


@contextlib.asynccontextmanager
async def running(paths: Paths) -> AsyncIterator[Daemon]:
    """A daemon inside this process, for tests."""
    made = Daemon(paths, lambda: None)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
