"""Sandboxes of every provider for tests, and short words for running something in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rc_protos import ids
from rc_providers.base import Provider, SandboxSpec
from rc_providers.contract import DEADLINE, Trial, read_all, read_line, run, sh
from example_provider import ExampleProvider
from rc_providers.docker import DockerProvider
from rc_providers.fake import FakeProvider
from rc_providers.local import LocalProvider
from rc_providers.ssh.provider import SshProvider
from support import engine
from support.sshd import SshServer, person_with, ssh_server

__all__ = ["DEADLINE", "Place", "place", "read_all", "read_line", "run", "sh"]

KINDS: dict[str, type[Provider]] = {
    "bubblewrap": LocalProvider,
    "none": LocalProvider,
    "fake": FakeProvider,
    "example": ExampleProvider,
    "docker": DockerProvider,
    "ssh": SshProvider,
}
# Isolation of the kinds of which one provider has several, and options without which a kind cannot work in tests.
ISOLATION = {"bubblewrap": "bubblewrap", "none": "none"}
OPTIONS = {"docker": {"image": engine.IMAGE}}


@dataclass
class Place(Trial):
    """One provider with a root and an installation of its own; a Docker engine may hold the sandboxes of others too."""

    kind: str = ""
    # The host of kind "ssh".
    server: SshServer | None = None

    def spec(self, tag: str = "", **more: Any) -> SandboxSpec:
        """A sandbox to ask for."""
        options = {**OPTIONS.get(self.kind, {}), **more.pop("options", {})}
        return super().spec(tag, isolation=ISOLATION.get(self.kind, ""), options=options, **more)

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
        found = Place(provider, ids.new_id(), mebibytes=64, kind=kind, server=server)
        try:
            yield found
        finally:
            for info in await provider.list(found.installation):
                await (await provider.attach(info.external_id)).destroy()
            await provider.close()
