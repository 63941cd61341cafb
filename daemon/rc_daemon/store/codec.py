"""Model dataclasses <-> the JSON text of a row."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, TypeVar

D = TypeVar("D")

Converter = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode(value: Any) -> str:
    """A dataclass, or a document, as compact JSON; times as ISO 8601, bytes as Latin-1."""
    return _ENCODER.encode(value)


def decode(text: str, model_type: type[D]) -> D:
    """The dataclass back; keys the model no longer has are left out, new ones take their default."""
    return typing.cast(D, _model(json.loads(text), model_type))


def microseconds(moment: datetime) -> int:
    """Since the epoch, UTC."""
    # Not through timestamp(): a float holds no microseconds of a late enough date.
    return (moment - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """The time of so many microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return vars(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a row")


# Made once: json.dumps would make a new one at every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_plain, check_circular=False)


def _model(data: Mapping[str, Any], model_type: Any) -> Any:
    convert = _converters(model_type)
    values = {}
    for name, item in data.items():
        if name in convert:
            how = convert[name]
            values[name] = item if how is None or item is None else how(item)
    return model_type(**values)


@cache
def _converters(model_type: Any) -> Mapping[str, Converter | None]:
    hints = typing.get_type_hints(model_type)
    return {field.name: _converter(hints[field.name]) for field in dataclasses.fields(model_type)}


def _converter(hint: Any) -> Converter | None:
    """How a JSON value becomes the field's; None: it is it already."""
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is tuple:
        inner = _converter(typing.get_args(hint)[0])
        return tuple if inner is None else lambda items: tuple(inner(each) for each in items)
    if dataclasses.is_dataclass(hint):
        return lambda item: _model(item, hint)
    if hint is datetime:
        return datetime.fromisoformat
    if hint is bytes:
        return lambda text: text.encode("latin-1")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return None
