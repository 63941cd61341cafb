"""Both sockets of the daemon over a real registry, without tasks: for tests of what the sockets do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rc_daemon.api.call import Call
from rc_daemon.api.events import EventServicer
from rc_daemon.api.methods import Method, table
from rc_daemon.api.rows import TaskRows
from rc_daemon.api.sandboxes import SandboxServicer
from rc_daemon.fastjson import JsonServer
from rc_daemon.links.link import SandboxLink
from rc_daemon.links.proxy import SandboxProxy
from rc_daemon.server import Server
from rc_daemon.store.store import Store
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.model import Task, TaskState
from rc_protos.paths import Paths, paths
from rc_protos.v1 import event_pb2, sandbox_pb2
from rc_protos.v1.task_pb2 import ListTasksRequest
from rc_providers import registry

LIST_TASKS = "/rc.v1.TaskService/ListTasks"


class Broken(SandboxServicer):
    """One method with a defect in it."""

    async def ListSandboxes(
        self, request: sandbox_pb2.ListSandboxesRequest, call: Call
    ) -> sandbox_pb2.ListSandboxesResponse:
        raise ValueError("a defect\nof two lines")


@dataclass
class Servers:
    """What serves, and where."""

    places: Paths
    store: Store
    methods: dict[str, Method]


async def find_task(task: str) -> Task:
    """Nobody is here."""
    raise errors.not_found(f"there is no task {task!r}", "rc ls zeigt sie: für alle")


async def find_link(sandbox_id: str) -> SandboxLink:
    """Nor here."""
    raise errors.not_found(f"there is no sandbox {sandbox_id}")


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """Both servers in a home of their own, which RC_HOME names meanwhile."""
    home = Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp"))
    monkeypatch.setenv("RC_HOME", str(home))
    places = paths()
    places.runtime.mkdir(mode=0o700)
    store = await Store.open(f"sqlite:///{places.registry}")

    def provider(name: str) -> registry.Provider:
        return registry.load(name, places.sandboxes)

    parts: Any = SimpleNamespace(store=store, provider=provider)
    methods = table(
        {
            event_pb2.DESCRIPTOR.services_by_name["EventService"]: EventServicer(store, find_task),
            sandbox_pb2.DESCRIPTOR.services_by_name["SandboxService"]: Broken(parts),
        }
    )
    # The JSON socket answers it by itself.
    methods[LIST_TASKS] = replace(methods["/rc.v1.SandboxService/ListProviders"], request=ListTasksRequest)

    async def list_tasks(filters: list[str], *, include_removed: bool) -> list[Task]:
        return [task for task in store.tasks.values() if include_removed or task.state is not TaskState.REMOVED]

    async with Background("test") as background:
        server = Server(methods, SandboxProxy(find_link, background))
        json_server = JsonServer(methods, TaskRows(list_tasks))
        await json_server.start(places.json_socket)
        await server.start(places.grpc_socket)
        try:
            yield Servers(places, store, methods)
        finally:
            await server.stop()
            await json_server.stop()
            await store.close()
            shutil.rmtree(home)
