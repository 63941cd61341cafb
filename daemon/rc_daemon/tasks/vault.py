"""Credentials of tasks, in this process's memory and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping


class CredentialVault:
    """The credentials callers handed over, by task; gone when the daemon ends."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, str]] = {}

    def put(self, task_id: str, credentials: Mapping[str, str]) -> None:
        """Keep what a caller brought, beside what is there; empty values are left out."""
        present = {name: value for name, value in credentials.items() if value}
        if present:
            self._held.setdefault(task_id, {}).update(present)

    def get(self, task_id: str) -> Mapping[str, str]:
        """What is held for the task."""
        return dict(self._held.get(task_id, {}))

    def drop(self, task_id: str) -> None:
        """Forget a removed task's credentials."""
        self._held.pop(task_id, None)

    def __repr__(self) -> str:
        return f"CredentialVault({len(self._held)} tasks)"
