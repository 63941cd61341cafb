"""Finds what is installed of a coding agent: in rc's cache, and its own executable on PATH."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rc_daemon.coding.spec import CodingAgentSpec, Program
from rc_protos.model import CodingAgent

MARKER = "installed.json"
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_VERSION_TIMEOUT = 20.0
# What a local sandbox shows anyway.
_SYSTEM = ("/usr/", "/bin/", "/lib/", "/opt/")
# The first bytes of executables that need no interpreter: ELF, and Mach-O in its forms.
_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe")


@dataclass(frozen=True)
class Installation:
    """A coding agent that can be started."""

    # Placeholders of the TOML -> paths.
    places: Mapping[str, str]
    version: str = ""
    program: str = ""
    binds: tuple[Path, ...] = ()


class Installations:
    """The cache's folder of coding agents: `<root>/<name>/<version>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._versions: dict[tuple[str, int, int], str] = {}

    def directory(self, spec: CodingAgentSpec) -> Path:
        """Where the pinned versions of it belong."""
        parts = [part.pinned for part in (spec.program, spec.adapter) if part is not None and part.pinned]
        return self.root / spec.name / "+".join(parts or ["none"])

    def marker(self, spec: CodingAgentSpec) -> dict[str, str] | None:
        """What the finished installation wrote down: paths below its directory; None: there is none."""
        try:
            found = json.loads((self.directory(spec) / MARKER).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def find(self, spec: CodingAgentSpec) -> Installation | None:
        """The installation to use; None when something is missing."""
        if not spec.installed:
            return Installation({})
        marker = self.marker(spec)
        if marker is None and spec.adapter is not None:
            return None
        program, version = self._program(spec, marker or {})
        node = self._node(spec, marker or {})
        if (spec.program is not None and not program) or (spec.node is not None and not node):
            return None
        directory = self.directory(spec)
        places = {"program": program, "node": node, "packages": str(directory / "node_modules")}
        return Installation(places, version, program, self._binds(directory, program, node))

    def describe(self, spec: CodingAgentSpec) -> CodingAgent:
        """The row of `rc agent ls`."""
        found = self.find(spec)
        return CodingAgent(
            name=spec.name,
            title=spec.title,
            installed=found is not None,
            version=found.version if found else "",
            pinned_version=spec.program.pinned if spec.program else "",
            executable=found.program if found else "",
            credential_names=spec.credential_names,
            remedy="" if found else f"rc agent install {spec.name}",
            source=spec.source,
        )

    def own_program(self, program: Program) -> tuple[str, str]:
        """The user's own executable on PATH and its version; empty if there is none that can be used."""
        found = shutil.which(program.name)
        if found is None or not _is_native(found):
            return "", ""
        path = os.path.realpath(found)
        version = self.version(path)
        if not version or _key(version) < _key(program.minimum or "0"):
            return "", ""
        return path, version

    def version(self, path: str) -> str:
        """What an executable says to --version; asked once per file. Empty if it cannot be run."""
        status = os.stat(path)
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in self._versions:
            self._versions[key] = _ask_version(path)
        return self._versions[key]

    def _program(self, spec: CodingAgentSpec, marker: Mapping[str, str]) -> tuple[str, str]:
        if spec.program is None:
            return "", ""
        own = self.own_program(spec.program)
        if own[0]:
            return own
        inside = marker.get("program", "")
        path = self.directory(spec) / inside
        return (str(path), marker.get("version", "")) if inside and path.is_file() else ("", "")

    def _node(self, spec: CodingAgentSpec, marker: Mapping[str, str]) -> str:
        if spec.node is None:
            return ""
        inside = marker.get("node", "")
        if inside and (self.directory(spec) / inside).is_file():
            return str(self.directory(spec) / inside)
        return self.own_node(spec.node.minimum)

    def own_node(self, minimum: int) -> str:
        """The machine's own Node.js if it is new enough, or empty."""
        found = shutil.which("node")
        if found is None or not _is_native(found):
            return ""
        path = os.path.realpath(found)
        return path if _key(self.version(path) or "0") >= (minimum,) else ""

    def _binds(self, directory: Path, *programs: str) -> tuple[Path, ...]:
        binds = [directory] if directory.is_dir() else []
        for program in programs:
            hidden = program and not program.startswith(_SYSTEM)
            if hidden and not Path(program).is_relative_to(directory):
                binds.append(Path(program))
        return tuple(binds)


def platform_key() -> str:
    """The machine as the TOML's table of platforms names it."""
    return f"{platform.system().lower()} {platform.machine()}"


def _is_native(path: str) -> bool:
    # A script would need its interpreter inside the sandbox, too.
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in _NATIVE
    except OSError:
        return False


def _ask_version(path: str) -> str:
    try:
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "DISABLE_AUTOUPDATER": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(answer.stdout)
    return found.group() if found and answer.returncode == 0 else ""


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
