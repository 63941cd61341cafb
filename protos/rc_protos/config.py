"""Settings: declared once, merged from defaults, files, environment and flags, each value with its origin.

defaults < system < user's config.toml < user's config.d/*.toml < the project's .remote-claude.toml < RC_* < flags.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rc_protos import errors
from rc_protos.model import ConfigValue, Isolation, Mode
from rc_protos.paths import paths

SYSTEM_FILE = Path("/etc/remote-claude/config.toml")
PROJECT_FILE = ".remote-claude.toml"
OWN_FILE = "config.d/rc.toml"
DEFAULT = "default"
CREDENTIALS = "credentials"


@dataclass(frozen=True)
class Key:
    """One setting: its type, default and meaning; `trusted`: not taken from a project's file."""

    name: str
    kind: type[Any]
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    trusted: bool = False

    def check(self, value: Any, where: str) -> Any:
        """The value, or usage naming where it stands."""
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise errors.usage(f"{where}: {self.name} must be {_named(self.kind)}, not {value!r}")
        if self.choices and value not in self.choices:
            raise errors.usage(f"{where}: {self.name} cannot be {value!r}", f"it takes: {', '.join(self.choices)}")
        return value

    def parse(self, text: str, where: str) -> Any:
        """The value a variable or a flag holds as text."""
        if self.kind is str:
            return self.check(text, where)
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if self.kind is bool and text.lower() in words:
            return words[text.lower()]
        try:
            return self.check(self.kind(text), where)
        except ValueError:
            raise errors.usage(f"{where}: {self.name} must be {_named(self.kind)}, not {text!r}") from None


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("agent", str, "claude", "the coding agent of new tasks"),
        Key("provider", str, "local", "where new tasks run"),
        Key("isolation", str, "", "what separates a local task from your files", ("", *Isolation), trusted=True),
        Key("mode", str, "", "how much the coding agent may do unasked", ("", *Mode), trusted=True),
        Key("model", str, "", "the model the coding agent uses; empty: its own default"),
        Key("timeout", int, 0, "seconds after which a task is stopped; 0: never"),
        Key("limit.running", int, 0, "tasks that run at once; 0: twice the cores, at least 4", trusted=True),
        Key("save.interval", int, 25, "seconds between looks for unsaved work of a running task"),
        Key("idle.coding_agent", int, 600, "seconds after which an idle coding agent's process is ended"),
        Key("idle.sandbox", int, 1800, "seconds after which an idle task's sandbox is stopped"),
        Key("mirror.cap", int, 256, "MiB kept of each session's output on this host", trusted=True),
        Key("retention.days", int, 30, "days for which logs and saved work of removed tasks are kept", trusted=True),
        Key("disk.refuse", int, 512, "MiB of free disk below which new tasks are refused", trusted=True),
        Key("disk.warn", int, 2048, "MiB of free disk below which rc warns", trusted=True),
        Key("detach_key", str, "ctrl-]", "the key that detaches; pressed twice it is sent", trusted=True),
    )
}


@dataclass
class Config:
    """Merged settings; `origins` says for each where it came from."""

    merged: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    # NAME -> {"command": [...]} or {"keyring": "service/user"}; from the user's own files only.
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.merged.get(name, KEYS[name].default)

    def values(self) -> list[ConfigValue]:
        """Every setting, with its origin."""
        shown = [
            ConfigValue(key.name, json.dumps(self[key.name]), self.origins.get(key.name, DEFAULT), key.help)
            for key in KEYS.values()
        ]
        for name, source in sorted(self.credentials.items()):
            how = f"{CREDENTIALS}.{name}"
            shown.append(ConfigValue(how, json.dumps(source), self.origins[how], "where the credential comes from"))
        return shown


def load(directory: str = "", environment: Mapping[str, str] | None = None) -> Config:
    """Merge what holds for a directory; raises usage naming file and key for the first thing that is wrong."""
    config = Config()
    for path in _user_files():
        _merge_file(config, path, trusted=True)
    project = find_project(directory) if directory else None
    if project is not None:
        _merge_file(config, project, trusted=False)
    _merge_environment(config, os.environ if environment is None else environment)
    return config


def find_project(directory: str) -> Path | None:
    """The project's file in this directory or the nearest one above."""
    here = Path(directory)
    for place in (here, *here.parents):
        if (place / PROJECT_FILE).is_file():
            return place / PROJECT_FILE
    return None


def key(name: str) -> Key:
    """The declaration of a setting; raises usage with the nearest one."""
    if name not in KEYS:
        raise errors.usage(f"there is no setting {name!r}", _nearest(name))
    return KEYS[name]


def write(name: str, text: str) -> tuple[ConfigValue, Path]:
    """Set one value in rc's own file; hand-written files are never touched. Raises usage."""
    import tomli_w

    if name.partition(".")[0] == CREDENTIALS:
        example = f'{CREDENTIALS}.ANTHROPIC_API_KEY = {{ command = ["pass", "show", "anthropic"] }}'
        raise errors.usage(
            "rc config set does not write credentials",
            f"write where one comes from into {paths().config / 'config.toml'}, such as: {example}",
        )
    declared = key(name)
    value = declared.parse(text, f"rc config set {name}")
    path = paths().config / OWN_FILE
    document = _read(path) if path.exists() else {}
    table, parts = document, name.split(".")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
    table[parts[-1]] = value
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(tomli_w.dumps(document))
    os.replace(temporary, path)
    return ConfigValue(name, json.dumps(value), str(path), declared.help), path


def _user_files() -> list[Path]:
    own = paths().config
    files = [SYSTEM_FILE, own / "config.toml", *sorted((own / "config.d").glob("*.toml"))]
    return [path for path in files if path.is_file()]


def _merge_file(config: Config, path: Path, *, trusted: bool) -> None:
    document = _read(path)
    found = document.pop(CREDENTIALS, None)
    if found is not None:
        if not trusted:
            raise _untrusted(path, CREDENTIALS)
        _merge_credentials(config, path, found)
    for name, value in _flat(document):
        if name not in KEYS:
            raise errors.usage(f"{path}: there is no setting {name!r}", _nearest(name))
        if KEYS[name].trusted and not trusted:
            raise _untrusted(path, name)
        config.merged[name] = KEYS[name].check(value, str(path))
        config.origins[name] = str(path)


def _merge_credentials(config: Config, path: Path, found: Any) -> None:
    if not isinstance(found, dict):
        raise errors.usage(f"{path}: {CREDENTIALS} must be a table")
    for name, source in found.items():
        known = isinstance(source, dict) and set(source) in ({"command"}, {"keyring"})
        if not known:
            raise errors.usage(
                f"{path}: {CREDENTIALS}.{name} must name a command or a keyring entry, never the value itself",
                f'such as: {name} = {{ command = ["pass", "show", "anthropic"] }}',
            )
        config.credentials[name] = source
        config.origins[f"{CREDENTIALS}.{name}"] = str(path)


def _merge_environment(config: Config, environment: Mapping[str, str]) -> None:
    for name, declared in KEYS.items():
        variable = "RC_" + name.upper().replace(".", "_")
        if variable in environment:
            config.merged[name] = declared.parse(environment[variable], f"the variable {variable}")
            config.origins[name] = variable


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except UnicodeDecodeError:
        raise errors.usage(f"{path} is not text in UTF-8", "correct it, or move it away") from None
    except tomllib.TOMLDecodeError as error:
        raise errors.usage(f"{path} is not valid TOML: {error}", "correct it, or move it away") from None
    except OSError as error:
        raise errors.usage(f"{path} cannot be read: {error.strerror}") from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, KEYS, 1, 0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(KEYS)}"


def _untrusted(path: Path, name: str) -> errors.RemoteClaudeError:
    return errors.usage(
        f"{path}: {name} is not taken from a project's file, which anybody may have written",
        f"set it in {paths().config / 'config.toml'}",
    )


def _named(kind: type[Any]) -> str:
    return {str: "text", int: "a whole number", bool: "true or false"}[kind]
