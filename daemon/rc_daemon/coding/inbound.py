"""What a coding agent sends, checked by the ACP SDK's schema models and put into our words.

This is the only file that imports the SDK (and pydantic): some 30 MB and half a second, so it is loaded when a task
first needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from acp import schema
from pydantic import BaseModel, ValidationError

from rc_daemon.coding.clip import SHORT, clip, count, short
from rc_protos.model import RequestOption

Invalid = ValidationError
Happening = tuple[str, dict[str, Any]]

OPTIONS_MOST = 16


@dataclass(frozen=True)
class Hello:
    """What the coding agent says of itself."""

    protocol: int
    can_load: bool
    name: str
    version: str


@dataclass(frozen=True)
class Opened:
    """A new or loaded ACP session; `session_id` is empty for a loaded one."""

    session_id: str
    mode: str


@dataclass(frozen=True)
class TurnEnd:
    """How a turn ended, with the tokens it took."""

    stop_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Permission:
    """A coding agent's question whether it may."""

    title: str
    detail: dict[str, Any]
    options: tuple[RequestOption, ...]


def hello(result: Any) -> Hello:
    """Read the answer to `initialize`."""
    answer = schema.InitializeResponse.model_validate(result)
    capabilities = answer.agent_capabilities or schema.AgentCapabilities()
    info = answer.agent_info
    return Hello(
        protocol=answer.protocol_version,
        can_load=bool(capabilities.load_session),
        name=short(info.name) if info else "",
        version=short(info.version) if info else "",
    )


def opened(result: Any) -> Opened:
    """Read the answer to `session/new`."""
    answer = schema.NewSessionResponse.model_validate(result)
    return Opened(answer.session_id, _mode(answer.modes))


def loaded(result: Any) -> Opened:
    """Read the answer to `session/load`."""
    answer = schema.LoadSessionResponse.model_validate(result or {})
    return Opened("", _mode(answer.modes))


def turn_end(result: Any) -> TurnEnd:
    """Read the answer to `session/prompt`."""
    answer = schema.PromptResponse.model_validate(result)
    usage = answer.usage
    if usage is None:
        return TurnEnd(str(answer.stop_reason), 0, 0, 0)
    cached = (usage.cached_read_tokens or 0) + (usage.cached_write_tokens or 0)
    return TurnEnd(str(answer.stop_reason), usage.input_tokens, usage.output_tokens, cached)


def permission(params: Any) -> Permission:
    """Read `session/request_permission`."""
    asked = schema.RequestPermissionRequest.model_validate(params)
    call = _plain(asked.tool_call)
    # An id goes back as it came, so one that is too long makes no option.
    offered = [option for option in asked.options if len(option.option_id) <= SHORT][:OPTIONS_MOST]
    options = tuple(RequestOption(option.option_id, short(option.name), option.kind) for option in offered)
    title = short((asked.tool_call.title or "").strip() or str(call.get("kind") or "permission"))
    return Permission(title, _tool(call), options)


def update(params: Any) -> Happening:
    """Read `session/update` as an event; raises `Invalid` for what the schema does not know."""
    change = schema.SessionNotification.model_validate(params).update
    match change:
        case schema.AgentMessageChunk():
            return "message.text", _chunk(change)
        case schema.AgentThoughtChunk():
            return "message.thought", _chunk(change)
        case schema.UserMessageChunk():
            return "message.user", _chunk(change)
        case schema.ToolCallStart():
            return "tool.call", _tool(_plain(change))
        case schema.ToolCallProgress():
            return "tool.update", _tool(_plain(change))
        case schema.AgentPlanUpdate():
            return "plan", {"entries": clip([_plain(entry) for entry in change.entries])}
        case schema.AvailableCommandsUpdate():
            named = [{"name": it.name, "description": it.description} for it in change.available_commands]
            return "commands", {"commands": clip(named)}
        case schema.CurrentModeUpdate():
            return "mode", {"native": short(change.current_mode_id)}
        case schema.UsageUpdate():
            return "usage", _usage(change)
        case _:
            return "coding.update", {"update": _plain(change)}


def raw_update(params: Any) -> Happening:
    """An update that the schema does not know, kept as it came."""
    found = params.get("update", params) if isinstance(params, dict) else params
    return "coding.update", {"update": clip(found)}


def _mode(state: schema.SessionModeState | None) -> str:
    return short(state.current_mode_id) if state else ""


def _chunk(chunk: schema.ContentChunk) -> dict[str, Any]:
    payload: dict[str, Any] = {"text": ""}
    if isinstance(chunk.content, schema.TextContentBlock):
        payload["text"] = clip(chunk.content.text)
    else:
        payload["content"] = _plain(chunk.content)
    if chunk.message_id:
        payload["message_id"] = short(chunk.message_id)
    return payload


def _tool(call: dict[str, Any]) -> dict[str, Any]:
    call.pop("session_update", None)
    return {"id": call.pop("tool_call_id", ""), **call}


def _usage(change: schema.UsageUpdate) -> dict[str, Any]:
    payload: dict[str, Any] = {"context_used": count(change.used), "context_size": count(change.size)}
    if change.cost is not None and math.isfinite(change.cost.amount):
        payload |= {"cost": change.cost.amount, "currency": short(change.cost.currency)}
    return payload


def _plain(model: BaseModel) -> dict[str, Any]:
    """Plain JSON with our snake_case keys, long texts cut, and without the coding agent's private `_meta`."""
    found = _without_meta(model.model_dump(mode="json", exclude_none=True))
    kept: dict[str, Any] = clip(found)
    return kept


def _without_meta(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_meta(item) for key, item in value.items() if key != "field_meta"}
    if isinstance(value, list):
        return [_without_meta(item) for item in value]
    return value
