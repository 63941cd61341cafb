"""What a task starts from: a commit in a repository on this host, and how to show it to a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Base:
    """A commit that is pinned in a repository of this host."""

    # The repository, as `git -C` takes it: the working tree, or the git directory of a bare one.
    repository: str
    # What the task's branch starts at, and the commit it was made from (another one only with --dirty).
    commit: str
    origin: str
    # Every directory with objects of the repository, its alternates included.
    objects: tuple[str, ...]
    object_format: str = "sha1"
    # Commits at which a shallow clone ends.
    shallow: tuple[str, ...] = ()
    user_name: str = ""
    user_email: str = ""
    # Whose repository it is: the user's own, or one of rc's cache.
    cached: bool = False

    @property
    def path(self) -> Path:
        """The repository as a path."""
        return Path(self.repository)

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Base:
        """As it was stored."""
        fields = dict(document)
        fields["objects"] = tuple(fields["objects"])
        fields["shallow"] = tuple(fields["shallow"])
        return cls(**fields)


def pin_name(task_id: str) -> str:
    """The ref that keeps a task's base in the user's repository."""
    return f"refs/rc/base/{task_id}"
