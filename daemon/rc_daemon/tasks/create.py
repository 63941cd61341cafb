"""A new task: everything is checked before anything is recorded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rc_daemon.coding import inputs
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import journal, names
from rc_daemon.tasks.base import Base
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.remote import is_url, split_ref
from rc_daemon.tasks.repository import local_base, unpin
from rc_protos import errors, ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import Isolation, Mode, Principal, Task, TaskSpec, TaskState
from rc_providers.base import Capability, Provider


@dataclass(frozen=True)
class Created:
    """A new task, and one line each for the person."""

    task: Task
    notices: tuple[str, ...] = ()


async def create(
    parts: Parts,
    spec: TaskSpec,
    *,
    credentials: Mapping[str, str],
    request_id: str,
    directory: str,
    caller: Principal,
    retry_of: str = "",
) -> Created:
    """Validate everything, record the task durably; raises usage, precondition, already_exists or exhausted."""
    known = await parts.store.read(lambda tx: _made_before(tx, request_id))
    if known is not None:
        return Created(known)
    spec = await asyncio.to_thread(_completed, parts, spec, directory)
    known_of_place = await _check(parts, spec)
    task_id = ids.new_id()
    base = None
    parts.vault.put(task_id, credentials)
    recorded = False
    try:
        spec, base, notices = await _base(parts, task_id, spec)
        task = await parts.store.transact(
            lambda tx: _record(tx, task_id, spec, base, request_id=request_id, caller=caller, retry_of=retry_of)
        )
    except asyncio.CancelledError:
        # The caller went away, and the task may be recorded.
        recorded = True
        raise
    else:
        # The same call may have been made twice at once.
        recorded = task.id == task_id
    finally:
        if not recorded:
            parts.vault.drop(task_id)
            await _unborn(parts, task_id, base.repository if base else "")
    return Created(task, (*notices, *known_of_place))


async def forget_unborn(parts: Parts) -> None:
    """Let go of the bases of tasks that were asked for and never recorded; before anything new is asked for."""
    for task_id, pinned in (await parts.store.read(lambda tx: tx.list_docs(journal.PIN))).items():
        await _unborn(parts, task_id, str(pinned["repository"]))


async def _unborn(parts: Parts, task_id: str, repository: str) -> None:
    if repository:
        await unpin(task_id, repository)
    await parts.store.transact(lambda tx: tx.delete_doc(journal.PIN, task_id))


def _made_before(tx: Tx, request_id: str) -> Task | None:
    found = tx.get_doc(journal.REQUEST, request_id) if request_id else None
    return tx.get_task(str(found["task"])) if found else None


def _completed(parts: Parts, spec: TaskSpec, directory: str) -> TaskSpec:
    """With what the configuration says for this directory."""
    if not spec.prompt.strip():
        raise errors.usage("the prompt is empty", 'such as: rc run "fix the flaky test"')
    found = parts.defaults(directory or os.sep)
    repository, ref = split_ref(spec.repository)
    provider = spec.provider or found.get("provider", "")
    return replace(
        spec,
        coding_agent=spec.coding_agent or found.get("agent", ""),
        provider=provider,
        # Elsewhere the provider itself is the wall.
        isolation=spec.isolation or (found.get("isolation", "") if provider == "local" else ""),
        mode=spec.mode or found.get("mode", ""),
        model=spec.model or found.get("model", ""),
        timeout_seconds=spec.timeout_seconds or int(found.get("timeout", 0)),
        repository=repository,
        ref=spec.ref or ref,
    )


async def _check(parts: Parts, spec: TaskSpec) -> Sequence[str]:
    """What the person should know of the place; raises what keeps the task from being made."""
    agent = parts.coding_agent(spec.coding_agent)
    if spec.mode and spec.mode not in set(Mode):
        raise errors.usage(f"there is no mode {spec.mode!r}", f"there are: {', '.join(Mode)}")
    agent.native_id(spec.mode)
    provider = parts.provider(spec.provider)
    if spec.isolation and spec.isolation not in set(Isolation):
        raise errors.usage(f"there is no isolation {spec.isolation!r}", f"there are: {', '.join(Isolation)}")
    check_options(provider, spec.options)
    notices = await provider.check(spec.isolation)
    if Capability.LOCAL in provider.capabilities:
        await asyncio.to_thread(parts.catalog.installation, agent)
    if not spec.repository:
        raise errors.usage("there is no repository", "run rc inside one, or give --repo")
    disk = os.statvfs(parts.paths.data)
    free = disk.f_bavail * disk.f_frsize
    if free < parts.limits.disk_refuse:
        raise errors.exhausted(
            f"the disk of {parts.paths.data} has only {free >> 20} MiB left: no new task is taken", "run: rc gc"
        )
    return notices


def check_options(provider: Provider, options: Iterable[str]) -> None:
    """Raise usage for one that the provider does not have."""
    known = [option.name for option in provider.options]
    for name in options:
        if name not in known:
            raise errors.usage(f"{provider.name} has no option {name!r}", f"there are: {', '.join(known) or 'none'}")


async def _base(parts: Parts, task_id: str, spec: TaskSpec) -> tuple[TaskSpec, Base | None, list[str]]:
    if is_url(spec.repository):
        if spec.include_uncommitted:
            raise errors.usage("--dirty takes a working tree along, which a URL does not have")
        # Fetching may take minutes: it is done by the task itself.
        return spec, None, []
    place = spec.repository
    await parts.store.transact(lambda tx: tx.put_doc(journal.PIN, task_id, {"repository": place}))
    base, notices = await local_base(task_id, Path(place), spec.ref, dirty=spec.include_uncommitted)
    failpoint("task.create.pinned")
    return replace(spec, repository=base.repository), base, notices


def _record(
    tx: Tx, task_id: str, spec: TaskSpec, base: Base | None, *, request_id: str, caller: Principal, retry_of: str
) -> Task:
    if (made := _made_before(tx, request_id)) is not None:
        return made
    taken = {task.name for task in tx.list_tasks()}
    if spec.name and names.check(spec.name) in taken:
        raise RemoteClaudeError(
            f"there is a task {spec.name} already", "choose another --name, or remove it", code=ErrorCode.ALREADY_EXISTS
        )
    name = spec.name or names.unique(names.slug(spec.prompt), taken)
    now = datetime.now(UTC)
    task = Task(
        id=task_id,
        spec=replace(spec, name=name),
        state=TaskState.QUEUED,
        created_at=now,
        updated_at=now,
        branch=f"rc/{name}",
        base_commit=base.commit if base else "",
        owner=caller.name,
        workspace=caller.workspace,
        retry_of=retry_of,
    )
    tx.put_task(task)
    shown = {"name": name, "coding_agent": spec.coding_agent, "provider": spec.provider, "repository": spec.repository}
    tx.append("task.created", task_id, {"spec": shown, "branch": task.branch}, actor=caller.name)
    inputs.queue_prompt(tx, task_id, spec.prompt, actor=caller.name)
    if base is not None:
        journal.put_base(tx, task_id, base)
        tx.delete_doc(journal.PIN, task_id)
    if request_id:
        tx.put_doc(journal.REQUEST, request_id, {"task": task_id})
    return task
