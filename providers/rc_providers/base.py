"""The contract of every provider: life-cycle plus one duplex byte stream, nothing about files or commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from rc_protos import errors
from rc_protos.model import Option


class Capability(StrEnum):
    """What a provider can do beyond the contract."""

    # Host paths can be made visible inside, read-only.
    BIND = "bind"
    # The sandbox ends with the daemon's host, and is never slower to reach than a local process.
    LOCAL = "local"


class Presence(StrEnum):
    """What a provider sees of a sandbox."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True)
class SandboxSpec:
    """What to create.

    `tag` is unique per sandbox and chosen before the call: creating the same tag twice gives one sandbox.
    """

    tag: str
    installation: str
    isolation: str = ""
    # Host paths to show inside at the same path, read-only (capability BIND).
    binds: Sequence[Path] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    # Told in a line what takes long, an image that is pulled for one; called in the loop.
    progress: Callable[[str], None] = field(default=lambda text: None, compare=False)


@dataclass(frozen=True)
class SandboxInfo:
    """What a provider knows of a sandbox; paths are inside the sandbox."""

    external_id: str
    tag: str
    installation: str
    presence: Presence
    workspace: str = ""
    home: str = ""
    # How it is separated from the host, in a word that `rc ls` shows.
    isolation: str = ""
    # One line each for the person: what does not hold here.
    notices: tuple[str, ...] = ()


class ByteStream(ABC):
    """A duplex byte stream to a process inside a sandbox: its stdin and stdout."""

    def socket_fd(self) -> int | None:
        """Give away the stream as a connected socket's descriptor, or None.

        After a number, no other method is called but `incoming`.
        """
        return None

    def incoming(self, data: bytes) -> bytes:
        """What the process said, of bytes that came on the descriptor given away; the rest is the transport's."""
        return data

    @abstractmethod
    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte and at most `limit`; b"" at the end of the stream."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Write all of `data`, waiting while the other side does not read."""

    @abstractmethod
    async def close_write(self) -> None:
        """End the process's stdin; reading goes on."""

    @abstractmethod
    async def close(self) -> None:
        """Cut the stream in both directions; the process sees end of file or a broken pipe."""


class Sandbox(ABC):
    """One isolated machine, container or process tree."""

    # Its streams pass every byte value unchanged in both directions. Where not, only printable ASCII is sent.
    clean_8bit: bool = True

    @abstractmethod
    async def info(self) -> SandboxInfo:
        """What the provider sees now."""

    @abstractmethod
    async def open(self, argv: Sequence[str]) -> ByteStream:
        """Start a command inside and give its stdin and stdout; stderr goes to the sandbox's log."""

    @abstractmethod
    async def start(self) -> None:
        """Bring a stopped sandbox back; nothing happens to a running one."""

    @abstractmethod
    async def stop(self) -> None:
        """End every process and keep the files; nothing happens to a stopped one."""

    @abstractmethod
    async def destroy(self) -> None:
        """Remove the sandbox and its files; destroying what is gone is fine."""

    @abstractmethod
    async def logs(self) -> str:
        """The last lines the provider has of it, for the person who asks why it failed."""


class Provider(ABC):
    """Makes and finds sandboxes of one kind."""

    name: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    options: ClassVar[tuple[Option, ...]] = ()
    # What a target is in a word (`--on ssh:HOST`), empty where there is only one place.
    target: ClassVar[str] = ""
    target_needed: ClassVar[bool] = False

    @classmethod
    def reference(cls) -> str:
        """How `--on` names it."""
        target = f":{cls.target.upper()}" if cls.target else ""
        return cls.name + (target if cls.target_needed or not target else f"[{target}]")

    def __init__(self, root: Path, where: str = "") -> None:
        """`root`: a directory of this provider's own on the daemon's host; it may not exist yet. `where`: a target."""
        self.root = root
        self.where = where

    @abstractmethod
    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Create the sandbox with this tag, or give the one that has it already; it is running."""

    @abstractmethod
    async def attach(self, external_id: str) -> Sandbox:
        """The sandbox with this id, running or not; raises not_found when it is gone."""

    @abstractmethod
    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        """Every sandbox this provider can see that carries one of our tags, of one installation or of all."""

    async def shows_host_paths(self) -> bool:
        """Whether host paths can be shown in this very place; asked where the capability is BIND."""
        return Capability.BIND in self.capabilities

    async def check(self, isolation: str) -> Sequence[str]:
        """What the person should know of a sandbox of this isolation here, one line each.

        Raises precondition, with the remedy, when it cannot be made.
        """
        return ()

    async def add(self, accept_key: str) -> None:
        """Have the place's host key known from now on, if it is the one with this fingerprint; raises conflict."""
        if accept_key:
            raise errors.unsupported(f"the provider {self.name} has no host keys")

    async def remove(self) -> None:  # noqa: B027 - most providers have nothing to forget
        """Forget what was accepted; sandboxes live on."""

    async def estimate(self, spec: SandboxSpec) -> float:
        """US dollars per hour; 0 where nothing is billed."""
        return 0.0

    async def close(self) -> None:  # noqa: B027 - most providers hold nothing
        """Let go of connections; sandboxes live on."""
