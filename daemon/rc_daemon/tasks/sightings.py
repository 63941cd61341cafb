"""What sandboxes there are: those of the registry beside those that the providers find by our tags."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from rc_daemon.tasks.parts import Parts
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Sandbox, SandboxState, SeenSandbox, Standing, TaskState
from rc_providers import registry
from rc_providers.base import Presence, SandboxInfo

LOOK_SECONDS = 30.0
LOST = (SandboxState.GONE, SandboxState.DESTROYED)


async def look(parts: Parts) -> tuple[list[SeenSandbox], list[str]]:
    """Every sandbox that is there or should be, oldest first, and one line per provider that gave no answer."""
    rows = {row.id: row for row in await parts.store.read(lambda tx: tx.list_sandboxes())}
    used = {row.provider for row in rows.values()}
    names = sorted(used | {name for name in registry.names() if _has_one_place(name)})
    answers = await asyncio.gather(*(_ask(parts, name) for name in names))
    found: list[SeenSandbox] = []
    problems = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, RemoteClaudeError):
            # Of a place where nothing was ever made nobody needs to know.
            problems += [f"{name}: {answer.message}"] if name in used else []
            found += [_missing(parts, row, "") for row in rows.values() if row.provider == name and _wanted(row)]
            continue
        found += [_seen(parts, name, info, rows.get(info.tag)) for info in answer]
        there = {info.tag for info in answer}
        found += [
            _missing(parts, row, Presence.GONE)
            for row in rows.values()
            if row.provider == name and row.id not in there and _wanted(row)
        ]
    return sorted(found, key=lambda each: each.sandbox.id), problems


def choose(word: str, found: Collection[SeenSandbox]) -> SeenSandbox:
    """The sandbox of this id, unique beginning of one, or task name; raises not_found or ambiguous."""
    exact = [each for each in found if word in (each.sandbox.id, each.task_name)]
    near = exact or [each for each in found if word and each.sandbox.id.lower().startswith(word.lower())]
    if not near:
        raise errors.not_found(f"there is no sandbox {word!r}", "list them with: rc sandbox ls")
    if len(near) > 1:
        names = ", ".join(each.sandbox.id for each in near[:5])
        raise RemoteClaudeError(f"{word!r} fits {len(near)} sandboxes", f"such as: {names}", code=ErrorCode.AMBIGUOUS)
    return near[0]


def _has_one_place(name: str) -> bool:
    try:
        return not registry.kind(name).target_needed
    except RemoteClaudeError:
        return False


async def _ask(parts: Parts, name: str) -> Sequence[SandboxInfo] | RemoteClaudeError:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await parts.provider(name).list()
    except RemoteClaudeError as error:
        return error
    except TimeoutError:
        return errors.timeout(f"no answer within {LOOK_SECONDS:g} s")


def _wanted(row: Sandbox) -> bool:
    return row.state not in LOST


def _seen(parts: Parts, name: str, info: SandboxInfo, row: Sandbox | None) -> SeenSandbox:
    """`row`: what the registry knows of it, if anything."""
    if row is not None and _wanted(row):
        standing = _standing(parts, row)
    else:
        standing = Standing.ORPHAN if info.installation == parts.installation else Standing.FOREIGN
        state = SandboxState.RUNNING if info.presence is Presence.RUNNING else SandboxState.STOPPED
        row = Sandbox(info.tag, name, info.external_id, state=state, isolation=info.isolation)
    return SeenSandbox(
        row,
        standing,
        presence=info.presence,
        task_name=_task_name(parts, row),
        installation=info.installation,
        workspace=info.workspace,
        notices=info.notices,
    )


def _missing(parts: Parts, row: Sandbox, presence: str) -> SeenSandbox:
    return SeenSandbox(row, _standing(parts, row), presence=presence, task_name=_task_name(parts, row))


def _standing(parts: Parts, row: Sandbox) -> Standing:
    if not row.task_id:
        return Standing.ADOPTED
    return Standing.TASK if _task_name(parts, row) else Standing.ORPHAN


def _task_name(parts: Parts, row: Sandbox) -> str:
    task = parts.store.tasks.get(row.task_id)
    return "" if task is None or task.state is TaskState.REMOVED else task.name


def adopted(seen: SeenSandbox) -> Sandbox:
    """Its row from now on; the epoch shuts out whoever had it before."""
    now = datetime.now(UTC)
    state = SandboxState.RUNNING if seen.presence == Presence.RUNNING else SandboxState.STOPPED
    old = seen.sandbox
    return Sandbox(
        old.id, old.provider, old.external_id, "", state, old.isolation, created_at=now, epoch=int(now.timestamp())
    )
