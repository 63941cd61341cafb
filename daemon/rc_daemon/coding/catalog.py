"""Every coding agent rc knows: those built in, and the user's own TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from rc_daemon.coding.installed import Installation, Installations
from rc_daemon.coding.spec import CodingAgentSpec, nearest, read_spec
from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import CodingAgent
from rc_protos.paths import Paths

BUILT_IN = "built in"


@dataclass(frozen=True)
class Launch:
    """How to start a coding agent: argv, its environment without credentials, and its own name of the mode."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""


class Catalog:
    """Coding agents by name; reads the user's files anew at each call, so that an edit needs no restart."""

    def __init__(self, paths: Paths) -> None:
        self._own = paths.config / "coding-agents"
        self.installations = Installations(paths.cache / "coding-agents")

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._files()))

    def get(self, name: str) -> CodingAgentSpec:
        """One coding agent; raises not_found naming the nearest, or usage for a broken file of the user's."""
        files = self._files()
        if name not in files:
            raise errors.not_found(f"there is no coding agent {name!r}", nearest(name, sorted(files)))
        path, source = files[name]
        return read_spec(path, source)

    def list(self) -> list[CodingAgent]:
        """What `rc agent ls` shows; a broken file of the user's is a row with its error as the remedy."""
        return [self.show(name) for name in self.names()]

    def show(self, name: str) -> CodingAgent:
        """What `rc agent show` shows; raises not_found. May run the coding agent's `--version`."""
        files = self._files()
        try:
            spec = self.get(name)
        except RemoteClaudeError as error:
            if name not in files:
                raise
            return CodingAgent(name=name, title=name, source=files[name][1], remedy=error.message)
        return self.installations.describe(spec)

    def installation(self, spec: CodingAgentSpec) -> Installation:
        """Where it is installed; raises precondition with the command that installs it."""
        found = self.installations.find(spec)
        if found is None:
            raise errors.precondition(f"{spec.title} is not installed", f"rc agent install {spec.name}")
        return found

    def binds(self, name: str) -> tuple[Path, ...]:
        """Host paths to show inside, read-only, at the same place; none where it is not installed on the host."""
        found = self.installations.find(self.get(name))
        return found.binds if found else ()

    def launch(self, name: str, mode: str = "", model: str = "", brought: Mapping[str, str] | None = None) -> Launch:
        """How to start it speaking ACP; `brought`: where the sandbox has its own parts, by placeholder."""
        spec = self.get(name)
        places = brought or self.installation(spec).places
        command = spec.command_inside if brought else spec.command
        return Launch(_fill(command, places), _environment(spec, places, model), spec.native_id(mode))

    def launch_native(
        self, name: str, session: str, mode: str = "", model: str = "", brought: Mapping[str, str] | None = None
    ) -> Launch:
        """How to start its own TUI, on the transcript of this session id if there is one; raises unsupported."""
        spec = self.get(name)
        template = spec.native + (spec.native_resume if session else ())
        if not spec.native:
            raise errors.unsupported(f"{spec.title} has no terminal face that rc knows", "use: rc attach")
        native = spec.native_id(mode)
        places = {**(brought or self.installation(spec).places), "session": session, "mode": native}
        argv = _fill(template, places) + (_fill(spec.native_mode, places) if native else ())
        return Launch(argv, _environment(spec, places, model), native)

    def _files(self) -> dict[str, tuple[Path, str]]:
        built_in = Path(str(resources.files("rc_daemon.coding") / "agents"))
        files = {path.stem: (path, BUILT_IN) for path in built_in.glob("*.toml")}
        if self._own.is_dir():
            files |= {path.stem: (path, str(path)) for path in sorted(self._own.glob("*.toml"))}
        return files


def _environment(spec: CodingAgentSpec, places: Mapping[str, str], model: str) -> dict[str, str]:
    environment = {key: _put(value, places) for key, value in spec.environment.items()}
    if model:
        if not spec.model_environment:
            raise errors.unsupported(f"{spec.title} takes no model from rc")
        environment[spec.model_environment] = model
    return environment


def _fill(argv: tuple[str, ...], places: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_put(word, places) for word in argv)


def _put(text: str, places: Mapping[str, str]) -> str:
    # Not str.format: a command may hold braces of its own.
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text
