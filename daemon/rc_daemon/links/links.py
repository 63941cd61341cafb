"""Every link of this daemon, by sandbox id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from rc_daemon.links.link import Identity, SandboxLink, Timing
from rc_protos.bundle import Bundle
from rc_protos.model import LinkState, LinkStatus
from rc_providers.base import Sandbox

log = logging.getLogger("rc.link")

OnChange = Callable[[str, LinkState], None]


class Links:
    """Makes, finds and drops links; tells `on_change` of every change of state."""

    def __init__(self, identity: Identity, timing: Timing | None = None) -> None:
        self._identity = identity
        self._timing = timing
        self._links: dict[str, SandboxLink] = {}
        self._listeners: list[OnChange] = []

    @property
    def bundle(self) -> Bundle:
        """What agents run."""
        return self._identity.bundle

    def listen(self, on_change: OnChange) -> None:
        """Have a function called, in the loop, with the sandbox id and the new state."""
        self._listeners.append(on_change)

    def ensure(self, sandbox_id: str, sandbox: Sandbox, epoch: int = 1) -> SandboxLink:
        """The link into this sandbox, made if there is none; it begins to connect at once."""
        link = self._links.get(sandbox_id)
        if link is None:
            link = SandboxLink(sandbox_id, sandbox, epoch, self._identity, self._changed, timing=self._timing)
            self._links[sandbox_id] = link
        else:
            link.move(sandbox, epoch)
        return link

    def get(self, sandbox_id: str) -> SandboxLink | None:
        """The link into this sandbox, if one was asked for."""
        return self._links.get(sandbox_id)

    async def drop(self, sandbox_id: str) -> None:
        """End a link; the sandbox lives on."""
        link = self._links.pop(sandbox_id, None)
        if link is not None:
            await link.close()

    def statuses(self, tasks: Mapping[str, str] | None = None) -> list[LinkStatus]:
        """Of every link; `tasks` names the task of a sandbox."""
        return [
            LinkStatus(
                link.id, (tasks or {}).get(link.id, ""), link.state, link.since, link.reconnects, link.last_error
            )
            for link in self._links.values()
        ]

    async def close(self) -> None:
        """End every link."""
        for sandbox_id in list(self._links):
            await self.drop(sandbox_id)

    def _changed(self, sandbox_id: str, state: LinkState) -> None:
        for listener in self._listeners:
            try:
                listener(sandbox_id, state)
            except Exception:
                # A listener's defect is not the link's.
                log.exception("link %s is %s", sandbox_id, state)
