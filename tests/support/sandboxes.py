"""Sandboxes of every provider for tests, and short words for running something in them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rc_protos import ids
from rc_providers.base import ByteStream, Provider, Sandbox, SandboxSpec
from rc_providers.docker import DockerProvider
from rc_providers.fake import FakeProvider
from rc_providers.local import LocalProvider
from rc_providers.ssh.provider import SshProvider
from support import engine
from support.sshd import SshServer, person_with, ssh_server

DEADLINE = 30.0
KINDS: dict[str, type[Provider]] = {
    "bubblewrap": LocalProvider,
    "none": LocalProvider,
    "fake": FakeProvider,
    "docker": DockerProvider,
    "ssh": SshProvider,
}
# Isolation of the kinds of which one provider has several, and options without which a kind cannot work in tests.
ISOLATION = {"bubblewrap": "bubblewrap", "none": "none"}
OPTIONS = {"docker": {"image": engine.IMAGE}}


@dataclass
class Place:
    """One provider with a root and an installation of its own; a Docker engine may hold the sandboxes of others too."""

    kind: str
    provider: Provider
    installation: str
    # The host of kind "ssh".
    server: SshServer | None = None

    def spec(self, tag: str = "", **more: object) -> SandboxSpec:
        """A sandbox to ask for."""
        options = {**OPTIONS.get(self.kind, {}), **more.pop("options", {})}  # type: ignore[dict-item]
        isolation = ISOLATION.get(self.kind, "")
        return SandboxSpec(tag or ids.new_id(), self.installation, isolation, options=options, **more)  # type: ignore[arg-type]

    async def create(self, tag: str = "", **more: object) -> Sandbox:
        """A running sandbox."""
        return await self.provider.create(self.spec(tag, **more))

    def again(self) -> Provider:
        """A second provider object over the same root, as after a restart; the fake one forgets."""
        return KINDS[self.kind](self.provider.root, self.provider.where)


@asynccontextmanager
async def place(kind: str) -> AsyncIterator[Place]:
    """A provider whose sandboxes are all destroyed afterwards."""
    # Short: the path of a unix socket holds 108 bytes.
    root = Path(tempfile.mkdtemp(prefix="rcs", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        where, server = "", None
        if kind == "ssh":
            server = stack.enter_context(ssh_server(root / "box"))
            stack.enter_context(person_with(root / "person", server.entry()))
            where = server.name
        provider = KINDS[kind](root / "p" / where, where)
        found = Place(kind, provider, ids.new_id(), server)
        try:
            yield found
        finally:
            for info in await provider.list(found.installation):
                await (await provider.attach(info.external_id)).destroy()
            await provider.close()


async def read_all(stream: ByteStream, most: int = 1 << 26) -> bytes:
    """Everything until the end of the stream."""
    data = bytearray()
    async with asyncio.timeout(DEADLINE):
        while len(data) < most and (more := await stream.read()):
            data += more
    return bytes(data)


async def read_line(stream: ByteStream) -> bytes:
    """Up to the next newline."""
    line = b""
    async with asyncio.timeout(DEADLINE):
        while not line.endswith(b"\n"):
            more = await stream.read(1)
            if not more:
                break
            line += more
    return line


async def run(sandbox: Sandbox, *argv: str) -> str:
    """What a command prints."""
    stream = await sandbox.open(argv)
    try:
        await stream.close_write()
        return (await read_all(stream)).decode()
    finally:
        await stream.close()


async def sh(sandbox: Sandbox, script: str) -> str:
    """What a shell script prints, both streams."""
    return await run(sandbox, "/bin/sh", "-c", f"exec 2>&1\n{script}")
