"""The other side of the ACP machine, in a test's hands: what it says goes in, what the machine says is read."""

from __future__ import annotations

import itertools
import json
from typing import Any

from rc_daemon.coding.acp import Machine
from rc_daemon.coding.lines import LINE_LIMIT
from rc_daemon.coding.state import Asked, State, Step, Withdrawn

OPTIONS = [
    {"optionId": "always", "name": "Always", "kind": "allow_always"},
    {"optionId": "once", "name": "Once", "kind": "allow_once"},
    {"optionId": "never", "name": "No", "kind": "reject_once"},
]


class Peer:
    """A machine, everything it has produced, and short words for a coding agent's messages."""

    def __init__(self, *, line_limit: int = LINE_LIMIT) -> None:
        ids = itertools.count(1)
        self.machine = Machine(State(), lambda: f"req{next(ids)}", line_limit=line_limit)
        self.happened: list[Any] = []
        self.said: list[dict[str, Any]] = []

    @property
    def state(self) -> State:
        return self.machine.state

    def kinds(self) -> list[str]:
        """What happened, by kind."""
        return [each[0] if isinstance(each, tuple) else type(each).__name__ for each in self.happened]

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one kind of event."""
        return [each[1] for each in self.happened if isinstance(each, tuple) and each[0] == kind]

    def asked(self) -> list[Asked]:
        return [each for each in self.happened if isinstance(each, Asked)]

    def withdrawn(self) -> list[Withdrawn]:
        return [each for each in self.happened if isinstance(each, Withdrawn)]

    def take(self, step: Step) -> None:
        """Note what a step led to."""
        self.happened += step.events
        self.said += [json.loads(line) for line in step.out.splitlines()]

    def bytes(self, data: bytes) -> None:
        """Output of the process."""
        for step in self.machine.feed(data):
            self.take(step)

    def send(self, **message: Any) -> None:
        """A message of the coding agent's."""
        self.bytes(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def reply(self, result: Any = None, **more: Any) -> None:
        """Answer the last call."""
        call = next(each["id"] for each in reversed(self.said) if "method" in each and "id" in each)
        self.send(id=call, **(more or {"result": result}))

    def update(self, kind: str, **fields: Any) -> None:
        params = {"sessionId": "s1", "update": {"sessionUpdate": kind, **fields}}
        self.send(method="session/update", params=params)

    def text(self, text: str) -> None:
        self.update("agent_message_chunk", content={"type": "text", "text": text})

    def ask(self, rpc: Any = 100, title: str = "Run it?", options: Any = OPTIONS) -> None:
        call = {"toolCallId": "c1", "title": title, "kind": "execute"}
        params = {"sessionId": "s1", "toolCall": call, "options": options}
        self.send(id=rpc, method="session/request_permission", params=params)

    def begin(self, mode: str = "") -> None:
        step = Step()
        self.machine.begin(step, "/workspace", mode)
        self.take(step)

    def greet(self, load: bool = True) -> None:
        self.reply({"protocolVersion": 1, "agentCapabilities": {"loadSession": load}})

    def ready(self, mode: str = "") -> None:
        """Up to the first prompt."""
        self.begin(mode)
        self.greet()
        self.reply({"sessionId": "s1"} if self.said[-1]["method"] == "session/new" else {})
        if mode:
            self.reply({})

    def prompt(self, text: str = "do it", number: int = 1) -> None:
        step = Step()
        self.machine.prompt(step, text, number)
        self.take(step)

    def cancel(self) -> bool:
        step = Step()
        done = self.machine.cancel(step)
        self.take(step)
        return done

    def answer(self, request_id: str, *, approve: bool = True, option_id: str = "") -> bool:
        step = Step()
        done = self.machine.answer(step, request_id, approve=approve, option_id=option_id)
        self.take(step)
        return done

    def ended(self, reason: str = "lost") -> None:
        step = Step()
        self.machine.ended(step, reason, "it ended")
        self.take(step)
