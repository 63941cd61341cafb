"""One Docker engine: which one, calls of the SDK in threads of our own, and raw connections for streams."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import docker
from docker.context import ContextAPI
from docker.utils import kwargs_from_env

from rc_protos import errors
from rc_providers.docker import faults

T = TypeVar("T")

CALL_SECONDS = 60
THREADS = 8
HEAD_MOST = 65536
# Where engines listen that no context names: Docker's own, one without root, Podman's.
RUNTIME = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
USUAL = ("/var/run/docker.sock", f"{RUNTIME}/docker.sock", f"{RUNTIME}/podman/podman.sock", "/run/podman/podman.sock")


class Engine:
    """The engine of a docker context; without a name, the one that the docker command would use."""

    def __init__(self, context: str = "") -> None:
        self._context = context
        # A hung engine must not take the threads that the rest of the daemon needs.
        self._threads = ThreadPoolExecutor(THREADS, "docker")

    async def call(self, work: Callable[[docker.APIClient], T]) -> T:
        """Run SDK calls; raises RemoteClaudeError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, work)

    def _call(self, work: Callable[[docker.APIClient], T]) -> T:
        with faults.mapped(self.url):
            return work(self._client)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        if self._context:
            found = ContextAPI.get_context(self._context)
            if found is None:
                raise errors.not_found(f"there is no docker context {self._context!r}", "run: docker context ls")
        elif os.environ.get("DOCKER_HOST"):
            return dict(kwargs_from_env())
        else:
            found = ContextAPI.get_current_context()
        host = found.Host if found is not None else ""
        if not host or host == "http+unix:///var/run/docker.sock":
            host = "unix://" + next((path for path in USUAL if os.path.exists(path)), USUAL[0])
        return {"base_url": host.replace("http+unix:", "unix:"), "tls": (found and found.TLSConfig) or False}

    @cached_property
    def url(self) -> str:
        """Where it listens."""
        return str(self._settings.get("base_url") or f"unix://{USUAL[0]}")

    @cached_property
    def _client(self) -> docker.APIClient:
        scheme = urlsplit(self.url).scheme
        if scheme not in ("unix", "tcp", "http") or self._settings.get("tls"):
            raise errors.unsupported(
                f"a Docker engine at {self.url} cannot be reached yet", f"use: --on ssh:{urlsplit(self.url).hostname}"
            )
        if scheme == "unix":
            # The SDK would forget to close a socket that nobody answers.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(urlsplit(self.url).path)
        return docker.APIClient(**{**self._settings, "version": "auto", "timeout": CALL_SECONDS})

    async def shares_host(self) -> bool:
        """Whether the paths of this machine are also the engine's, with the same owners."""
        if not self.url.startswith("unix://"):
            return False
        told = await self.call(lambda api: api.info())
        here = os.uname()
        mapped = any("rootless" in each or "userns" in each for each in told.get("SecurityOptions") or ())
        return (told.get("Name"), told.get("KernelVersion")) == (here.nodename, here.release) and not mapped

    async def hijack(self, path: str, body: object) -> tuple[socket.socket, bytes]:
        """POST and take the connection over; gives it and what has come already. Raises RemoteClaudeError.

        The SDK would hand out a private attribute of its connection, and lose what came with the head of the answer.
        """
        version = await self.call(lambda api: api.api_version)
        data = json.dumps(body).encode()
        request = (
            f"POST /v{version}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        with faults.mapped(self.url):
            connection = await self._dial()
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await asyncio.get_running_loop().sock_sendall(connection, request.encode() + data)
                    head, rest = await _head(connection)
                    status = int(head.split(None, 2)[1])
                    if status not in (101, 200):
                        raise faults.of_answer(status, await _message(connection, rest))
            except BaseException:
                connection.close()
                raise
        return connection, rest

    async def _dial(self) -> socket.socket:
        place = urlsplit(self.url)
        family = socket.AF_UNIX if place.scheme == "unix" else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            address = place.path if place.scheme == "unix" else (place.hostname, place.port or 2375)
            async with asyncio.timeout(CALL_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        if family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        """Let go of the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if "_client" in self.__dict__:
            self._client.close()


async def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await asyncio.get_running_loop().sock_recv(connection, 4096)
        if not more or len(data) > HEAD_MOST:
            raise ConnectionResetError("the engine hung up")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


async def _message(connection: socket.socket, data: bytes) -> str:
    """The engine's own words, from a body of JSON whose end need not be known."""
    start = data.find(b"{")
    while start < 0 or b"}" not in data:
        more = await asyncio.get_running_loop().sock_recv(connection, 4096)
        if not more or len(data) > HEAD_MOST:
            break
        data += more
        start = data.find(b"{")
    try:
        return str(json.loads(data[start : data.rfind(b"}") + 1])["message"])
    except (ValueError, KeyError):
        return data.decode("utf-8", "replace")
