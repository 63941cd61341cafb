"""Checks of this machine, each with the remedy."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator

from rc_daemon.tasks.parts import Parts
from rc_protos import config
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Check, LinkState
from rc_providers.local import bubblewrap

OK, WARNING, ERROR = "ok", "warning", "error"


async def diagnose(parts: Parts, directory: str, credential_names: tuple[str, ...]) -> list[Check]:
    """Every check, in the order in which a new user needs them."""
    checks = [_python(), await asyncio.to_thread(_git), await asyncio.to_thread(_isolation)]
    checks += await asyncio.to_thread(lambda: list(_coding_agents(parts, credential_names)))
    checks += [_disk(parts), await asyncio.to_thread(_config, directory)]
    checks += list(_links(parts))
    return checks


def _python() -> Check:
    return Check("python", OK, sys.version.split()[0])


def _git() -> Check:
    found = shutil.which("git")
    if found is None:
        return Check("git", ERROR, "git is not installed", "run: sudo apt-get install git")
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("git", ERROR, f"{found} cannot be run ({type(error).__name__})", "install git anew")
    return Check("git", OK, said.stdout.strip())


def _isolation() -> Check:
    if sys.platform != "linux":
        return Check("isolation", WARNING, "local tasks run without isolation on this system", "use Docker later on")
    return _tried("isolation", bubblewrap.check, "bubblewrap works")


def _coding_agents(parts: Parts, credential_names: tuple[str, ...]) -> Iterator[Check]:
    sources = _sources()
    for agent in parts.catalog.list():
        title = f"coding agent {agent.name}"
        if not agent.installed:
            broken = not agent.remedy.startswith("rc ")
            yield (
                Check(title, ERROR, agent.remedy, f"correct {agent.source}, or remove it")
                if broken
                else Check(title, WARNING, f"{agent.title} is not installed", f"run: {agent.remedy}")
            )
            continue
        wanted = agent.credential_names
        here = [name for name in wanted if name in credential_names]
        configured = [name for name in wanted if name in sources]
        if wanted and not here and not configured:
            names = " or ".join(wanted)
            yield Check(title, WARNING, f"{agent.title} {agent.version}, no credential", f"set {names}")
        else:
            source = f", credential {(here or configured)[0]}" if wanted else ""
            yield Check(title, OK, f"{agent.title} {agent.version}".rstrip() + source)


def _sources() -> Collection[str]:
    """Names of the credentials that the configuration yields; a broken one has a check of its own."""
    try:
        return config.load().credentials
    except RemoteClaudeError:
        return ()


def _disk(parts: Parts) -> Check:
    disk = os.statvfs(parts.paths.data)
    free = disk.f_bavail * disk.f_frsize
    message = (
        f"{free >> 30} GiB free in {parts.paths.data}" if free >> 30 else f"{free >> 20} MiB free in {parts.paths.data}"
    )
    if free < parts.limits.disk_refuse:
        return Check("disk", ERROR, message + "; new tasks are refused", "free some space, or run: rc gc")
    if free < parts.limits.disk_warn:
        return Check("disk", WARNING, message, "free some space, or run: rc gc")
    return Check("disk", OK, message)


def _config(directory: str) -> Check:
    return _tried("configuration", lambda: config.load(directory), "every file is right")


def _links(parts: Parts) -> Iterator[Check]:
    for link in parts.links.statuses():
        if link.state is not LinkState.UP:
            yield Check(f"link {link.sandbox_id}", WARNING, f"{link.state}: {link.last_error}", "it heals by itself")


def _tried(name: str, work: Callable[[], object], fine: str) -> Check:
    try:
        work()
    except RemoteClaudeError as error:
        return Check(name, ERROR, error.message, error.hint)
    return Check(name, OK, fine)
