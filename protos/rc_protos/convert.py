"""Wire <-> model, by field name: the only file where protocol buffers and the model meet.

Enums are StrEnums in the model (`working`) and prefixed constants on the wire (`TASK_STATE_WORKING`); times are
timezone-aware datetimes and Timestamps; an absent message is None.
A value the receiver does not know becomes its default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

M = TypeVar("M", bound=Message)
D = TypeVar("D")


def timestamp(moment: datetime) -> Timestamp:
    """A datetime as a Timestamp, in UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def moment(stamp: Timestamp) -> datetime:
    """A Timestamp as an aware datetime in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_message(value: Any, message_type: type[M]) -> M:
    """A model dataclass as the message with the same field names."""
    message = message_type()
    _fill(message, value)
    return message


def from_message(message: Message, model_type: type[D]) -> D:
    """A message as the model dataclass with the same field names; fields the model lacks are left out."""
    hints = _hints(model_type)
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.name in hints:
            values[field.name] = _from_field(message, field, hints[field.name])
    return model_type(**values)


def _fill(message: Message, value: Any) -> None:
    for field in message.DESCRIPTOR.fields:
        item = getattr(value, field.name, None)
        if item is None:
            continue
        _set(message, field, item)


def _set(message: Any, field: Any, item: Any) -> None:
    if _is_map(field):
        getattr(message, field.name).update(item)
    elif field.is_repeated and field.message_type is not None:
        target = getattr(message, field.name)
        for each in item:
            _fill(target.add(), each)
    elif field.is_repeated:
        getattr(message, field.name).extend(item)
    elif field.message_type is not None:
        _set_message(getattr(message, field.name), item)
    elif field.enum_type is not None:
        setattr(message, field.name, _enum_number(field.enum_type, str(item)))
    else:
        setattr(message, field.name, item)


def _set_message(target: Any, item: Any) -> None:
    if isinstance(target, Timestamp):
        target.CopyFrom(timestamp(item))
    else:
        target.SetInParent()
        _fill(target, item)


def _from_field(message: Any, field: Any, hint: Any) -> Any:
    item = getattr(message, field.name)
    if _is_map(field):
        return dict(item)
    if field.is_repeated:
        inner = _item_type(hint)
        return tuple(from_message(each, inner) if field.message_type is not None else each for each in item)
    if field.message_type is not None:
        return _from_submessage(message, field, item, hint)
    if field.enum_type is not None:
        return _enum_member(field.enum_type, item, _plain(hint))
    return _plain_value(item, _plain(hint))


def _from_submessage(message: Message, field: Any, item: Any, hint: Any) -> Any:
    if not message.HasField(field.name):
        if _optional(hint):
            return None
        if _plain(hint) is datetime:
            return datetime.fromtimestamp(0, UTC)
    if isinstance(item, Timestamp):
        return moment(item)
    return from_message(item, _plain(hint))


def _plain_value(item: Any, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        members = list(hint)
        return hint(item) if item in {str(each) for each in members} else members[0]
    return item


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _prefix(name: str) -> str:
    letters = [f"_{each}" if each.isupper() and place else each for place, each in enumerate(name)]
    return "".join(letters).upper() + "_"


def _enum_number(enum: Any, word: str) -> int:
    value = enum.values_by_name.get(_prefix(enum.name) + word.upper().replace("-", "_"))
    return int(value.number) if value is not None else 0


def _enum_member(enum: Any, number: int, hint: type[StrEnum]) -> StrEnum:
    value = enum.values_by_number.get(number)
    word = value.name.removeprefix(_prefix(enum.name)).lower() if value is not None else ""
    members = list(hint)
    return next((each for each in members if each.value.replace("-", "_") == word), members[0])


_HINTS: dict[Any, Mapping[str, Any]] = {}


def _hints(model_type: Any) -> Mapping[str, Any]:
    if model_type not in _HINTS:
        hints = typing.get_type_hints(model_type)
        _HINTS[model_type] = {field.name: hints[field.name] for field in dataclasses.fields(model_type)}
    return _HINTS[model_type]


def _optional(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint)


def _plain(hint: Any) -> Any:
    if _optional(hint):
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint


def _item_type(hint: Any) -> Any:
    return typing.get_args(_plain(hint))[0]
