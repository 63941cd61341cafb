"""Conversations with a puppet: a coding agent whose every word a test writes, in a real sandbox over a real link."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rc_daemon.coding import inputs
from rc_daemon.coding.catalog import Catalog
from rc_daemon.coding.conversation import Conversation, Start
from rc_daemon.coding.conversations import Conversations
from rc_daemon.coding.view import ConversationView, Phase
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos.model import Task, TaskSpec, TaskState
from rc_protos.paths import Paths
from support.linked import CAP, TASK, Linked, linked

PATIENCE = 60.0
# What puppets are made of.
STRINGS = '''
import json, os, sys, time
def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()
def raw(data):
    while data:
        data = data[os.write(1, data):]
def read():
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)
def update(kind, **fields):
    send(method="session/update", params={"sessionId": "s1", "update": {"sessionUpdate": kind, **fields}})
def text(words):
    update("agent_message_chunk", content={"type": "text", "text": words})
def ask(number, title="May I?"):
    options = [{"optionId": kind[0], "name": kind, "kind": kind} for kind in ("allow_once", "reject_once")]
    call = {"toolCallId": "c%s" % number, "title": title, "kind": "execute"}
    params = {"sessionId": "s1", "toolCall": call, "options": options}
    send(id=number, method="session/request_permission", params=params)
def prompted():
    """Say hello, open the session, wait for a prompt."""
    while True:
        message = read()
        method = message.get("method")
        if method == "session/prompt":
            return message
        if method == "initialize":
            send(id=message["id"], result={"protocolVersion": 1, "agentCapabilities": {"loadSession": True}})
        elif method == "session/new":
            send(id=message["id"], result={"sessionId": "s1"})
        elif method == "session/load":
            send(id=message["id"], result={})
def end(message, reason="end_turn"):
    send(id=message["id"], result={"stopReason": reason})
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)
'''


@dataclasses.dataclass
class Talk:
    """One conversation and everything around it."""

    given: Linked
    store: Store
    conversations: Conversations
    conversation: Conversation
    start_with: Start

    async def start(self, **more: Any) -> None:
        await self.given.link.up(PATIENCE)
        await self.conversation.start(self.start_with, **more)

    async def say(self, text: str = "go") -> None:
        """Accept a prompt, as the use cases do."""
        await self.store.transact(lambda tx: inputs.queue_prompt(tx, TASK, text))
        await self.conversation.wake()

    async def answer(self, request_id: str, *, approve: bool = True) -> None:
        await self.store.transact(lambda tx: inputs.record_answer(tx, request_id, approve=approve))
        await self.conversation.wake()

    async def until(self, holds: Callable[[ConversationView], bool]) -> ConversationView:
        """The view, once this holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds(self.conversation.view()):
                await asyncio.sleep(0.01)
        return self.conversation.view()

    async def phase(self, *phases: Phase) -> ConversationView:
        return await self.until(lambda view: view.phase in phases)

    async def turns(self, number: int) -> ConversationView:
        """The view, once so many turns have ended."""
        return await self.until(lambda view: view.turn >= number and bool(view.stop_reason))

    async def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Payloads of all events of these kinds."""
        found = await self.store.read(lambda tx: tx.events(kinds=kinds, limit=100_000))
        return [json.loads(event.payload) for event in found]

    async def texts(self) -> list[str]:
        return [each["text"] for each in await self.events("message.text")]

    async def restart(self) -> None:
        """As after kill -9 of the daemon: another object over the same registry and mirror."""
        await self.conversations.close()
        self.given.restarted()
        await self._made_anew()

    async def _made_anew(self) -> None:
        given = self.given
        self.conversations = Conversations(
            self.store,
            given.links,
            given.mirrors,
            given.background,
            catalog=self.conversations._parts.catalog,
            on_change=lambda task_id: None,
        )
        self.conversation = await self.conversations.get(TASK)


@asynccontextmanager
async def talking(puppet: str, *, environment: Mapping[str, str] | None = None, cap: int = CAP) -> AsyncIterator[Talk]:
    """A conversation with a puppet that does this, not yet started; `cap`: of the mirror."""
    async with linked(cap=cap) as given:
        paths = Paths(*(given.root / name for name in ("run", "data", "config", "cache", "log")))
        folder = paths.config / "coding-agents"
        folder.mkdir(parents=True)
        script = given.root / "puppet.py"
        script.write_text(STRINGS + puppet)
        (folder / "puppet.toml").write_text(f'command = ["python3", "{script}"]\n')
        store = await Store.open(f"sqlite:///{paths.data}/registry.db")
        await store.transact(_task)
        conversations = Conversations(
            store,
            given.links,
            given.mirrors,
            given.background,
            catalog=Catalog(paths),
            on_change=lambda task_id: None,
        )
        place = str(given.root)
        start = Start(given.sandbox_id, place, place, "puppet", environment=environment or {})
        talk = Talk(given, store, conversations, await conversations.get(TASK), start)
        try:
            yield talk
        finally:
            await talk.conversation.close()
            await talk.conversations.close()
            await given.background.close()
            await store.close()


def _task(tx: Tx) -> None:
    now = datetime.now(UTC)
    tx.put_task(Task(TASK, TaskSpec("go", name="puppet", coding_agent="puppet"), TaskState.WORKING, now, now))
