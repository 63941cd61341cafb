"""Providers that a daemon under test finds as plug-ins, and one that shares nothing with this host."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from example_provider import ExampleProvider, ExampleSandbox
from rc_protos import errors
from rc_providers.base import ByteStream, Capability, Provider, Sandbox, SandboxSpec
from rc_providers.local import LocalProvider
from rc_providers.local.provider import LocalSandbox

TESTS = Path(__file__).parent.parent


class ElsewhereProvider(LocalProvider):
    """As on another machine: no file of this host is visible in a sandbox."""

    name: ClassVar[str] = "elsewhere"
    capabilities: ClassVar[frozenset[Capability]] = LocalProvider.capabilities - {Capability.BIND}


def plug_in(directory: Path, provider: type[Provider]) -> Mapping[str, str]:
    """Install a provider for a daemon that has this in its environment."""
    name = provider.name
    package = directory / f"{name}-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    target = f"{provider.__module__}:{provider.__name__}"
    (package / "entry_points.txt").write_text(f"[remote_claude.providers]\n{name} = {target}\n")
    return {"PYTHONPATH": os.pathsep.join(map(str, (directory, TESTS, TESTS.parent / "docs")))}


class Billed(ExampleProvider):
    """Half a dollar an hour."""

    name: ClassVar[str] = "billed"

    async def estimate(self, spec: SandboxSpec) -> float:
        return 0.5


class Mute(LocalProvider):
    """Its sandboxes come up and run nothing."""

    name: ClassVar[str] = "mute"

    async def attach(self, external_id: str) -> Sandbox:
        return Shut((await super().attach(external_id)).layout)  # type: ignore[attr-defined]

    async def create(self, spec: SandboxSpec) -> Sandbox:
        return Shut((await super().create(spec)).layout)  # type: ignore[attr-defined]


class Shut(LocalSandbox):
    """Of a mute provider."""

    async def open(self, argv: Sequence[str]) -> ByteStream:
        raise errors.precondition("the sandbox runs nothing")

    async def logs(self) -> str:
        return "booting\n\nout of luck\n"


class Forgetful(ExampleProvider):
    """Keeps no log."""

    name: ClassVar[str] = "forgetful"

    async def attach(self, external_id: str) -> Sandbox:
        return Silent((await super().attach(external_id)).directory)  # type: ignore[attr-defined]

    async def create(self, spec: SandboxSpec) -> Sandbox:
        return await self.attach((await (await super().create(spec)).info()).external_id)


class Silent(ExampleSandbox):
    """Of a forgetful provider."""

    async def logs(self) -> str:
        return ""
