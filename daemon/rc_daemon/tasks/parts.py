"""What the rest of the daemon hands to the tasks: every collaborator by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rc_daemon.tasks.clock import Clock
from rc_daemon.tasks.vault import CredentialVault

if TYPE_CHECKING:
    from rc_daemon.coding.conversations import Conversations
    from rc_daemon.store.store import Store
    from rc_protos.background import Background
    from rc_protos.paths import Paths
    from rc_providers.base import Provider


@dataclass(frozen=True)
class Limits:
    """What is bounded, from the configuration."""

    # Tasks that may run at once (config key limit.running).
    running: int = 4
    # Seconds after which a settled task's coding agent, and later its sandbox, is stopped; its files stay.
    idle_coding_agent: float = 600.0
    idle_sandbox: float = 1800.0
    # Attempts of something in the infrastructure before the task fails.
    attempts: int = 5
    # Seconds between two looks at a task at which nothing seems to happen.
    look: float = 30.0
    # Seconds between two looks for changes in the workspace of a running coding agent.
    save: float = 25.0
    # Free bytes on the data directory's disk below which new tasks are refused, and people are warned.
    disk_refuse: int = 512 * 1024 * 1024
    disk_warn: int = 2 * 1024 * 1024 * 1024
    # Days for which removed tasks' logs and saved work, and unused cached repositories, are kept.
    keep_days: int = 30


@dataclass(frozen=True)
class Parts:
    """The collaborators of the tasks, made by rc_daemon.main."""

    store: Store
    # rc_daemon.links.Links: ensure, get, drop.
    links: Any
    conversations: Conversations
    # rc_daemon.sessions.mirror.Mirrors
    mirrors: Any
    # The provider of this name, loaded once; raises not_found.
    provider: Callable[[str], Provider]
    # The coding agent of this name from the catalogue; raises not_found.
    coding_agent: Callable[[str], Any]
    # rc_daemon.coding.catalog.Catalog: what is installed where.
    catalog: Any
    paths: Paths
    background: Background
    # Of this data directory; every sandbox is tagged with it.
    installation: str
    clock: Clock
    vault: CredentialVault = field(default_factory=CredentialVault)
    limits: Limits = field(default_factory=Limits)
    # Values of the merged configuration for a directory: mode, provider, agent, ...
    defaults: Callable[[str], Mapping[str, str]] = field(default=lambda directory: {})
    # Credentials the user's configuration yields for these names (a command or a keyring entry); may take seconds.
    configured_credentials: Callable[[tuple[str, ...]], Mapping[str, str]] = field(default=lambda names: {})
