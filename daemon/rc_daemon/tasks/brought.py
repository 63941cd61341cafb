"""A coding agent that the sandbox brings itself: an image that has it on its PATH."""

from __future__ import annotations

import asyncio

from rc_daemon.coding.catalog import Catalog
from rc_daemon.links import SandboxLink
from rc_daemon.tasks.inside import script
from rc_protos import errors
from rc_providers.base import Capability, Provider

FIND = """
for name in $NAMES; do printf '%s\\n' "$(command -v "$name" || true)"; done
"""


async def brought(
    link: SandboxLink, catalog: Catalog, name: str, provider: Provider, *, borrows: bool
) -> dict[str, str]:
    """Where its parts are in the sandbox, by placeholder; empty: the host's are used, or none are needed.

    Raises precondition where it is neither inside nor shown by the host.
    """
    spec = catalog.get(name)
    if Capability.LOCAL in provider.capabilities or not spec.installed:
        return {}
    found = await script(link, FIND, {"NAMES": " ".join(spec.inside.values())}, name="find")
    places = dict(zip(spec.inside, found.out.splitlines(), strict=False))
    if places and all(places.values()):
        return places
    if borrows and await asyncio.to_thread(catalog.installations.find, spec) is not None:
        return {}
    missing = [command for part, command in spec.inside.items() if not places.get(part)]
    raise errors.precondition(
        f"{spec.title} is not in the sandbox (missing on its PATH: {', '.join(missing) or spec.name})",
        "take an image that has it: -o image=NAME, or build one: -o build=Dockerfile",
    )
