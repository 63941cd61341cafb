"""What a coding agent's TOML says: read and checked."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rc_protos import errors
from rc_protos.model import Mode

_KNOWN = frozenset(
    (
        "title",
        "credentials",
        "variables",
        "command",
        "command_inside",
        "inside",
        "native",
        "native_resume",
        "native_mode",
        "model_environment",
        "transcripts",
        "continue_prompt",
        "default_mode",
        "modes",
        "environment",
        "program",
        "adapter",
        "node",
    )
)
T = TypeVar("T")
_VERSION = re.compile(r"\d+(\.\d+)*")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Program:
    """The coding agent's own executable: looked for on PATH, or installed from npm at the pinned version."""

    name: str
    pinned: str = ""
    minimum: str = ""
    package: str = ""
    file: str = ""
    # "linux x86_64" -> what stands for {platform} in the package's name.
    platforms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Adapter:
    """The npm package that speaks ACP for it."""

    package: str
    pinned: str


@dataclass(frozen=True)
class Node:
    """The Node.js the adapter needs, and the PyPI wheel that holds one."""

    minimum: int
    wheel: str


@dataclass(frozen=True)
class CodingAgentSpec:
    """One coding agent, as its TOML describes it."""

    name: str
    title: str
    # The file it was read from; "built in" for ours.
    source: str
    command: tuple[str, ...]
    # Where the sandbox brings its own: placeholder -> command on its PATH, and how to start it then.
    inside: Mapping[str, str] = field(default_factory=dict)
    command_inside: tuple[str, ...] = ()
    credential_names: tuple[str, ...] = ()
    # What it takes of the caller's environment besides.
    variables: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    native_resume: tuple[str, ...] = ()
    native_mode: tuple[str, ...] = ()
    model_environment: str = ""
    # Relative to HOME: what a conversation is resumed from.
    transcripts: tuple[str, ...] = ()
    continue_prompt: str = "Continue where you were interrupted."
    default_mode: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Program | None = None
    adapter: Adapter | None = None
    node: Node | None = None

    @property
    def installed(self) -> bool:
        """Whether it consists of anything that must be installed."""
        return self.program is not None or self.adapter is not None

    def native_id(self, mode: str) -> str:
        """The coding agent's own name of a mode; empty: it has no modes. Raises usage for one it cannot do."""
        wanted = mode or self.default_mode
        if not wanted:
            return ""
        if wanted not in self.modes:
            offered = ", ".join(self.modes) or "none"
            raise errors.usage(f"coding agent {self.name} has no mode {wanted}", f"it has: {offered}")
        return self.modes[wanted]


def read_spec(path: Path, source: str) -> CodingAgentSpec:
    """Read one TOML file; raises usage naming file and key."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise errors.usage(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise errors.usage(f"{path} is not valid TOML: {error}") from None
    if not _NAME.fullmatch(path.stem):
        raise errors.usage(f"{path}: a coding agent's file is named like it: a-z, 0-9 and -")
    return _Reader(path, document).spec(source)


class _Reader:
    """Takes values out of one document, complaining by file and key."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self._document = document

    def spec(self, source: str) -> CodingAgentSpec:
        self._only(self._document, _KNOWN, "")
        modes = self._table("modes")
        for mode in modes:
            if mode not in tuple(Mode):
                raise self._wrong(f"modes.{mode}", f"one of {', '.join(Mode)}")
        command = self._words("command")
        if not command:
            raise self._wrong("command", "a list of strings: how to start it, speaking ACP on stdin and stdout")
        default_mode = self._text("default_mode")
        if default_mode and default_mode not in modes:
            raise self._wrong("default_mode", f"one of its modes ({', '.join(modes) or 'it has none'})")
        transcripts = self._words("transcripts")
        if any(path.startswith("/") or ".." in path.split("/") for path in transcripts):
            raise self._wrong("transcripts", "paths below HOME")
        return CodingAgentSpec(
            name=self._path.stem,
            title=self._text("title") or self._path.stem,
            source=source,
            command=command,
            inside=self._table("inside"),
            command_inside=self._words("command_inside"),
            credential_names=self._words("credentials"),
            variables=self._words("variables"),
            native=self._words("native"),
            native_resume=self._words("native_resume"),
            native_mode=self._words("native_mode"),
            model_environment=self._text("model_environment"),
            transcripts=transcripts,
            continue_prompt=self._text("continue_prompt") or "Continue where you were interrupted.",
            default_mode=default_mode,
            modes=modes,
            environment=self._table("environment"),
            program=self._part("program", Program),
            adapter=self._part("adapter", Adapter),
            node=self._part("node", Node),
        )

    def _text(self, key: str) -> str:
        value = self._document.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def _words(self, key: str) -> tuple[str, ...]:
        value = self._document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return tuple(value)

    def _table(self, key: str) -> dict[str, str]:
        return self._strings(key, self._document.get(key, {}))

    def _strings(self, key: str, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, "a table of strings")
        return value

    def _part(self, key: str, kind: type[T]) -> T | None:
        value = self._document.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "a table")
        wanted: dict[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
        self._only(value, frozenset(wanted), f"{key}.")
        for name, item in wanted.items():
            if name not in value:
                if item.default is MISSING and item.default_factory is MISSING:
                    raise errors.usage(f"{self._path}: {key}.{name} is missing")
            elif name == "platforms":
                self._strings(f"{key}.{name}", value[name])
            elif name == "minimum" and item.type == "int":
                if type(value[name]) is not int:
                    raise self._wrong(f"{key}.{name}", "a whole number")
            elif not isinstance(value[name], str):
                raise self._wrong(f"{key}.{name}", "a string")
            elif name == "minimum" and not _VERSION.fullmatch(value[name]):
                raise self._wrong(f"{key}.{name}", 'a version such as "2.1"')
        return kind(**value)

    def _only(self, table: Mapping[str, Any], known: frozenset[str], prefix: str) -> None:
        for key in table:
            if key not in known:
                raise errors.usage(f"{self._path}: unknown key {prefix}{key}", nearest(key, sorted(known)))

    def _wrong(self, key: str, wanted: str) -> errors.RemoteClaudeError:
        return errors.usage(f"{self._path}: {key} must be {wanted}")


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint naming the known word that is most like this one, or all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
