"""The use cases of sandboxes that no task answers for: orphans, adopted ones, another installation's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from rc_daemon.store.tx import Tx
from rc_daemon.tasks import journal, sightings
from rc_daemon.tasks.inside import fetch_archive, script
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.relocate import destroy
from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Sandbox, SandboxState, SeenSandbox, Standing
from rc_providers import base as providers
from rc_providers.base import Presence

LINK_SECONDS = 60.0
LOG_SECONDS = 10.0
# Whether there is anything in the workspace.
ANYTHING = 'ls -A "$RC_WORKSPACE"'


class SandboxService:
    """A `word` is a sandbox's id, a unique beginning of it, or the name of its task."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self) -> tuple[Sequence[SeenSandbox], Sequence[str]]:
        """Every sandbox that is there or should be, and one line per provider that gave no answer."""
        return await sightings.look(self._parts)

    async def get(self, word: str) -> SeenSandbox:
        """One of them, with the last lines the provider has of it."""
        seen = await self._find(word)
        if not seen.sandbox.external_id or seen.presence in ("", Presence.GONE):
            return seen
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return replace(seen, log=await (await self._attached(seen.sandbox)).logs())
        except (RemoteClaudeError, TimeoutError):
            return seen

    async def start(self, word: str) -> SeenSandbox:
        """Bring it back."""
        seen = await self._find(word)
        if seen.standing is Standing.TASK:
            raise _of_a_task(seen, f"run: rc resume {seen.task_name}")
        self._ours(seen)
        await (await self._attached(seen.sandbox)).start()
        return await self._now(seen, SandboxState.RUNNING, Presence.RUNNING, "sandbox.started")

    async def stop(self, word: str) -> SeenSandbox:
        """End its processes, keep its files."""
        seen = await self._find(word)
        if seen.standing is Standing.TASK:
            raise _of_a_task(seen, f"run: rc stop {seen.task_name}")
        self._ours(seen)
        await self._parts.links.drop(seen.sandbox.id)
        await (await self._attached(seen.sandbox)).stop()
        return await self._now(seen, SandboxState.STOPPED, Presence.STOPPED, "sandbox.stopped")

    async def adopt(self, word: str) -> SeenSandbox:
        """Make it this installation's: it may be started, stopped and removed here, and who had it is shut out."""
        seen = await self._find(word)
        if seen.standing is Standing.TASK:
            raise _of_a_task(seen, f"see: rc show {seen.task_name}")
        if seen.standing is Standing.ADOPTED:
            return seen
        return await self._adopt(seen)

    async def remove(self, word: str, *, discard: bool = False) -> tuple[SeenSandbox, str]:
        """Save its workspace, then remove it; where it is saved, empty if there was nothing in it."""
        seen = await self._find(word)
        if seen.standing is Standing.TASK:
            raise _of_a_task(seen, f"remove both, the work saved: rc rm {seen.task_name}")
        self._ours(seen)
        if seen.standing is Standing.ORPHAN:
            seen = await self._adopt(seen)
        row = seen.sandbox
        saved = "" if discard or seen.presence == Presence.GONE else await self._save(row)
        await destroy(self._parts, row)
        seen = await self._now(seen, SandboxState.DESTROYED, Presence.GONE, "sandbox.destroyed", saved_to=saved)
        return seen, saved

    async def _find(self, word: str) -> SeenSandbox:
        found, problems = await self.list()
        try:
            return sightings.choose(word, found)
        except RemoteClaudeError as error:
            # It may be at the one that did not answer.
            raise RemoteClaudeError(error.message, "; ".join(problems) or error.hint, code=error.code) from None

    def _ours(self, seen: SeenSandbox) -> None:
        if seen.standing is Standing.FOREIGN:
            raise errors.precondition(
                f"the sandbox {seen.sandbox.id} was made by another installation",
                f"if nobody works in it, make it yours first: rc sandbox adopt {seen.sandbox.id}",
            )

    async def _attached(self, row: Sandbox) -> providers.Sandbox:
        return await self._parts.provider(row.provider).attach(row.external_id)

    async def _adopt(self, seen: SeenSandbox) -> SeenSandbox:
        row = sightings.adopted(seen)

        def work(tx: Tx) -> None:
            tx.put_sandbox(row)
            tx.delete_doc(journal.DESTROY, row.id)
            tx.append("sandbox.adopted", "", {"id": row.id, "provider": row.provider, "from": seen.installation})

        await self._parts.store.transact(work)
        return replace(seen, sandbox=row, standing=Standing.ADOPTED)

    async def _now(
        self, seen: SeenSandbox, state: SandboxState, presence: Presence, kind: str, **payload: str
    ) -> SeenSandbox:
        """Record what has become of it; of an orphan only the event."""
        row = replace(seen.sandbox, state=state)

        def work(tx: Tx) -> None:
            if seen.standing is Standing.ADOPTED:
                tx.put_sandbox(row)
            tx.append(kind, "", {"id": row.id, **payload})

        await self._parts.store.transact(work)
        return replace(seen, sandbox=row, presence=presence)

    async def _save(self, row: Sandbox) -> str:
        """The workspace as a tar on this host; raises precondition when it cannot be had."""
        target = self._parts.paths.data / "saved" / f"sandbox-{row.id}.tar"
        try:
            sandbox = await self._attached(row)
            await sandbox.start()
            link = self._parts.links.ensure(row.id, sandbox, row.epoch)
            await link.up(LINK_SECONDS)
            if not (await script(link, ANYTHING, {}, name="look")).out:
                return ""
            await fetch_archive(link, link.hello.workspace.decode(), (), target)
        except RemoteClaudeError as error:
            raise errors.precondition(
                f"the workspace of {row.id} cannot be saved: {error.message}",
                f"to remove it with all that is in it: rc sandbox rm --discard {row.id}",
            ) from error
        finally:
            await self._parts.links.drop(row.id)
        return str(target)


def _of_a_task(seen: SeenSandbox, hint: str) -> RemoteClaudeError:
    return errors.precondition(f"the sandbox {seen.sandbox.id} belongs to the task {seen.task_name}", hint)
