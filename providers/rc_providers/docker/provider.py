"""The provider of containers: life-cycle by labels, one container per tag."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rc_protos import errors
from rc_protos.model import Option
from rc_providers.base import Capability, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.docker.create import Creation
from rc_providers.docker.engine import Engine
from rc_providers.docker.sandbox import INSTALLATION_LABEL, TAG_LABEL, Container, info_of
from rc_providers.docker.settings import OPTIONS

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
IDENTITY = re.compile(r"[0-9a-f]{64}")


class DockerProvider(Provider):
    """Containers of the engine of a docker context, or of the one the docker command uses."""

    name: ClassVar[str] = "docker"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BIND})
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    target: ClassVar[str] = "context"

    def __init__(self, root: Path, where: str = "") -> None:
        super().__init__(root, where)
        self.engine = Engine(where)
        self._making: dict[str, asyncio.Lock] = {}
        self._logs: dict[str, bytearray] = {}
        # Image id -> its /etc/passwd and /etc/group.
        self._accounts: dict[str, tuple[str, str]] = {}

    async def shows_host_paths(self) -> bool:
        # Root's files are for root, whom no sandbox is.
        return os.getuid() != 0 and await self.engine.shares_host()

    async def check(self, isolation: str) -> Sequence[str]:
        if isolation:
            raise errors.usage(
                f"isolation {isolation} is not for docker, which isolates by itself", "leave out --isolation"
            )
        await self.engine.call(lambda api: api.ping())
        return ()

    async def create(self, spec: SandboxSpec) -> Sandbox:
        if not TAG.fullmatch(spec.tag):
            raise errors.usage(f"the sandbox tag {spec.tag!r} is not made of letters, digits and _.-")
        loop = asyncio.get_running_loop()

        def progress(text: str) -> None:
            loop.call_soon_threadsafe(spec.progress, text)

        async with self._making.setdefault(spec.tag, asyncio.Lock()):
            identity = await self.engine.call(
                lambda api: Creation(api, replace(spec, progress=progress), self._accounts).ensure()
            )
        return self._container(identity)

    async def attach(self, external_id: str) -> Sandbox:
        if not IDENTITY.fullmatch(external_id):
            raise errors.not_found(f"there is no container {external_id!r}")
        sandbox = self._container(external_id)
        await sandbox.info()
        return sandbox

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        wanted = f"{INSTALLATION_LABEL}={installation}" if installation else TAG_LABEL
        found = await self.engine.call(lambda api: api.containers(all=True, filters={"label": wanted}))
        return [info_of(each["Id"], each["Labels"], each["State"]) for each in found]

    async def close(self) -> None:
        self.engine.close()

    def _container(self, identity: str) -> Container:
        return Container(self.engine, identity, self._logs.setdefault(identity, bytearray()))
