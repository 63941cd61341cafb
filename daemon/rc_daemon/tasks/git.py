"""git on the daemon's host: bounded, without questions, and never inside a repository that a sandbox can write."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rc_protos import errors

TIMEOUT = 60.0
CHUNK = 64 * 1024

# In repositories of ours nothing of the user's configuration changes results.
OURS = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
# A commit that rc makes for the user has this author and committer.
AUTHOR = {
    "GIT_AUTHOR_NAME": "Remote Claude",
    "GIT_AUTHOR_EMAIL": "rc@localhost",
    "GIT_COMMITTER_NAME": "Remote Claude",
    "GIT_COMMITTER_EMAIL": "rc@localhost",
}
_QUIET = (
    "-c", "core.hooksPath=" + os.devnull,
    "-c", "core.fsmonitor=false",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "advice.detachedHead=false",
    "-c", "core.quotePath=false",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a git command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its output as text, without the last newline."""
        return os.fsdecode(self.out).rstrip("\n")

    @property
    def why(self) -> str:
        """The line of its messages that says most."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
        line = (telling or lines or [f"exit code {self.code}"])[0]
        return line.removeprefix("fatal: ").removeprefix("error: ")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The daemon's environment without anything that steers git, without questions, in English."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key == "GIT_SSH_COMMAND"}
    kept.update({"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"})
    return {**kept, **(extra or {})}


async def run(
    directory: Path,
    *argv: str,
    extra: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = TIMEOUT,
) -> Done:
    """Run `git -C directory argv...`, whatever its exit code; raises timeout, or precondition without a git."""
    process = await _start(directory, argv, extra, stdin is not None)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        raise errors.timeout(f"git {_verb(argv)} in {directory} took longer than {timeout:.0f} s") from None
    finally:
        await _end(process)
    return Done(process.returncode or 0, out, err.decode("utf-8", "replace"))


async def git(
    directory: Path,
    *argv: str,
    extra: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = TIMEOUT,
) -> str:
    """The output of a git command that must succeed; raises internal with git's own words otherwise."""
    done = await run(directory, *argv, extra=extra, stdin=stdin, timeout=timeout)
    if done.code:
        raise errors.internal(f"git {_verb(argv)} failed in {directory}: {done.why}")
    return done.text


async def stream(
    directory: Path, *argv: str, extra: Mapping[str, str] | None = None, timeout: float = 600.0
) -> AsyncIterator[bytes]:
    """The output of a git command in chunks of at most 64 KiB."""
    process = await _start(directory, argv, extra, False)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(timeout):
            while chunk := await process.stdout.read(CHUNK):
                yield chunk
            err = (await process.stderr.read()).decode("utf-8", "replace")
            if code := await process.wait():
                raise errors.internal(f"git {_verb(argv)} failed: {Done(code, b'', err).why}")
    except TimeoutError:
        raise errors.timeout(f"git {_verb(argv)} took longer than {timeout:.0f} s") from None
    finally:
        await _end(process)


async def _start(
    directory: Path, argv: tuple[str, ...], extra: Mapping[str, str] | None, stdin: bool
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            "git",
            *_QUIET,
            "-C",
            str(directory),
            *argv,
            env=environment(extra),
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise errors.precondition("git is not installed on this machine", "apt install git") from None


async def _end(process: asyncio.subprocess.Process) -> None:
    """A command that was given up must not go on."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    await process.wait()


def _verb(argv: tuple[str, ...]) -> str:
    return next((word for word in argv if not word.startswith("-")), "")
