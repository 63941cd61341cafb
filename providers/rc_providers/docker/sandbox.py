"""One container: its streams, its life and what is known of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import APIError, NotFound

from rc_protos import errors
from rc_providers.base import ByteStream, Presence, Sandbox, SandboxInfo
from rc_providers.docker.account import HOME, WORKSPACE
from rc_providers.docker.engine import Engine
from rc_providers.docker.stream import ExecStream

LABEL = "io.remote-claude."
TAG_LABEL, INSTALLATION_LABEL = f"{LABEL}tag", f"{LABEL}installation"
HOME_LABEL, NETWORK_LABEL = f"{LABEL}home", f"{LABEL}network"
PRESENCE = {
    "running": Presence.RUNNING,
    "paused": Presence.RUNNING,
    "restarting": Presence.RUNNING,
    "removing": Presence.GONE,
}
STOP_SECONDS = 3
START_SECONDS = 60.0
REMOVE_SECONDS = 60.0
LOG_MOST = 4000


class Container(Sandbox):
    """A container that carries our labels."""

    def __init__(self, engine: Engine, identity: str, log: bytearray) -> None:
        """`log`: the last words of its processes, shared by all who hold this container."""
        self.identity = identity
        self._engine = engine
        self._log = log

    async def info(self) -> SandboxInfo:
        told = await self._engine.call(lambda api: api.inspect_container(self.identity))
        labels = told["Config"]["Labels"] or {}
        if TAG_LABEL not in labels:
            raise errors.not_found(f"the container {self.identity[:12]} is not one of ours")
        return info_of(self.identity, labels, told["State"]["Status"])

    async def open(self, argv: Sequence[str]) -> ByteStream:
        made = await self._engine.call(
            lambda api: api.exec_create(self.identity, list(argv), stdin=True, stdout=True, stderr=True, tty=False)
        )
        connection, first = await self._engine.hijack(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        stream = ExecStream(connection, first, self._note)
        try:
            await self._started(made["Id"], stream, argv[0])
        except BaseException:
            await stream.close()
            raise
        return stream

    async def start(self) -> None:
        paused = (await self._inspect())["State"]["Paused"]
        await self._engine.call(lambda api: (api.unpause if paused else api.start)(self.identity))

    async def stop(self) -> None:
        await self._engine.call(lambda api: api.stop(self.identity, timeout=STOP_SECONDS))

    async def destroy(self) -> None:
        await self._engine.call(self._remove)
        self._log.clear()

    async def logs(self) -> str:
        own = await self._engine.call(lambda api: api.logs(self.identity, tail=50))
        failed = (await self._inspect())["State"].get("Error", "")
        parts = [bytes(self._log), own, failed.encode()]
        return "\n".join(part.decode("utf-8", "replace").rstrip("\n") for part in parts if part)

    async def _inspect(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = await self._engine.call(lambda api: api.inspect_container(self.identity))
        return told

    async def _started(self, execution: str, stream: ByteStream, command: str) -> None:
        """Wait until the process is there; the engine tells why it is not in the stream itself."""
        deadline = time.monotonic() + START_SECONDS
        pause = 0.002
        while True:
            told = await self._engine.call(lambda api: api.exec_inspect(execution))
            if told.get("Pid"):
                return
            if not told["Running"] and told["ExitCode"] is not None:
                async with asyncio.timeout(START_SECONDS):
                    said = " ".join((await stream.read()).decode("utf-8", "replace").split())
                raise errors.not_found(f"cannot run {command} in the sandbox: {said}")
            if time.monotonic() > deadline:
                raise errors.timeout(f"the Docker engine does not start {command} in the sandbox")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _remove(self, api: Any) -> None:
        deadline = time.monotonic() + REMOVE_SECONDS
        while True:
            try:
                api.remove_container(self.identity, v=True, force=True)
            except NotFound:
                return
            except APIError as error:
                # Somebody else removes it at the moment.
                if error.status_code != 409 or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _note(self, data: bytes) -> None:
        self._log += data
        del self._log[:-LOG_MOST]


def info_of(identity: str, labels: Mapping[str, str], status: str) -> SandboxInfo:
    """What a container's labels and the engine's word for its state say."""
    network = labels.get(NETWORK_LABEL, "")
    notices = [] if network == "none" else ["the network is open: the task reaches what the engine's host reaches"]
    if status == "paused":
        notices.append("it is paused: docker unpause lets it go on")
    return SandboxInfo(
        external_id=identity,
        tag=labels[TAG_LABEL],
        installation=labels.get(INSTALLATION_LABEL, ""),
        presence=PRESENCE.get(status, Presence.STOPPED),
        workspace=WORKSPACE,
        home=labels.get(HOME_LABEL, HOME),
        isolation="docker",
        notices=tuple(notices),
    )
