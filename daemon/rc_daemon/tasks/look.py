"""Looks at a task and its surroundings: what `advance` decides on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from rc_daemon.coding.view import ConversationView, Phase
from rc_daemon.links import SandboxLink
from rc_daemon.links.calls import unary
from rc_daemon.store.tx import Tx
from rc_daemon.tasks import admission, journal
from rc_daemon.tasks.observation import Move, Observation, SandboxView, Trouble
from rc_daemon.tasks.parts import Parts
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import LinkState, Request, Sandbox, SandboxState, Task, TaskState
from rc_protos.v1 import session_pb2
from rc_providers.base import Presence

PRESENCE_SECONDS = 15.0


async def look(parts: Parts, task: Task, trouble: Trouble) -> Observation:
    """One observation; asks the provider, the link, the conversation and the registry."""
    conversation = (await parts.conversations.get(task.id)).view()
    sandbox, facts, prepared, pending, move, retired = await parts.store.read(lambda tx: _facts(tx, task))
    link = parts.links.get(task.sandbox_id) if task.sandbox_id else None
    now = parts.clock.now()
    started = float(facts.get("started", 0))
    limit = task.spec.timeout_seconds
    return Observation(
        now=now,
        ahead=admission.ahead(list(parts.store.tasks.values()), task.id, parts.limits.running)
        if task.state is TaskState.QUEUED
        else None,
        sandbox=await _sandbox(parts, sandbox),
        link=link.state if link is not None else None,
        prepared=prepared,
        conversation=conversation,
        question=pending[0].title if pending else "",
        unheard=not set(conversation.pending) <= {each.id for each in pending},
        held=await _held(link, conversation),
        credentials_missing=await _missing(parts, task, conversation),
        work=journal.as_work(facts, due=now - float(facts.get("looked", 0)) >= parts.limits.save),
        move=move,
        retired=retired,
        trouble=trouble,
        deadline=started + limit if limit and started else 0.0,
        continue_turn=bool(facts.get("continue")),
        idle_since=_idle_since(parts, task, facts),
        idle_coding_agent=parts.limits.idle_coding_agent,
        idle_sandbox=parts.limits.idle_sandbox,
    )


def _facts(
    tx: Tx, task: Task
) -> tuple[Sandbox | None, dict[str, Any], bool, list[Request], Move | None, tuple[str, ...]]:
    sandbox = tx.get_sandbox(task.sandbox_id) if task.sandbox_id else None
    prepared = bool(task.sandbox_id) and tx.get_doc(journal.PREPARED, task.sandbox_id) is not None
    moves = journal.move(tx, task.id), journal.retired(tx, task.id)
    return sandbox, journal.work(tx, task.id), prepared, tx.list_requests(task.id), *moves


async def _sandbox(parts: Parts, sandbox: Sandbox | None) -> SandboxView | None:
    if sandbox is None:
        return None
    view = SandboxView(sandbox.id, sandbox.state)
    if view.lost or sandbox.state is SandboxState.INTENDED:
        return view
    try:
        async with asyncio.timeout(PRESENCE_SECONDS):
            found = await parts.provider(sandbox.provider).attach(sandbox.external_id)
            return replace(view, presence=(await found.info()).presence)
    except RemoteClaudeError as error:
        return replace(view, presence=Presence.GONE if error.code is ErrorCode.NOT_FOUND else None)
    except TimeoutError:
        return view


async def _held(link: SandboxLink | None, view: ConversationView) -> str:
    """Asked of the sandbox: a full disk there has no room for a mark in the log."""
    if view.phase is not Phase.WORKING or link is None or link.state is not LinkState.UP:
        return ""
    try:
        request = session_pb2.GetSessionRequest(session_id=view.session_id)
        return str((await unary(link.sessions.GetSession, request, timeout=PRESENCE_SECONDS)).session.blocked)
    except RemoteClaudeError:
        return ""


async def _missing(parts: Parts, task: Task, view: ConversationView) -> tuple[str, ...]:
    """Asked only when a process is to be started: a command of the user's may have to be run."""
    if task.state.settled or view.phase not in (Phase.ABSENT, Phase.ENDED):
        return ()
    names: tuple[str, ...] = parts.coding_agent(task.spec.coding_agent).credential_names
    held = parts.vault.get(task.id)
    if not names or any(name in held for name in names):
        return ()
    found = await asyncio.to_thread(parts.configured_credentials, names)
    parts.vault.put(task.id, found)
    return () if found else names


def _idle_since(parts: Parts, task: Task, facts: dict[str, Any]) -> float:
    if not task.state.settled or parts.mirrors.busy(task.sandbox_id):
        return 0.0
    return float(facts.get("rested", 0))
