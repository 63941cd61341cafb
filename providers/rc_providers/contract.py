"""What every provider promises, as checks that anybody can run: the tests, `rc provider verify`, authors of plug-ins.

A check is a coroutine function of a `Trial`; its docstring is the promise. It raises AssertionError, or whatever the
provider raises, where the promise does not hold.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rc_protos import ids
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_providers.base import ByteStream, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec

DEADLINE = 30.0
BULK_SECONDS = 90.0
# What breaks streams that think of text, of lines or of terminals.
AWKWARD = (
    bytes(range(256)) * 3,
    b"abc" + b"\xef\xbf\xbd" * 5000 + b"xyz",
    b"head\x00\x01\xff\xfe\xfd",
    b"\x03\x04\x11\x13\x1a\r\n\r\x1b[2J\x7f",
    b"\x01\x00\x00\x00\x00\x00\x00\x05\x02",
)


@dataclass
class Trial:
    """One provider on trial, and what it makes."""

    provider: Provider
    installation: str
    # How much goes both ways at once.
    mebibytes: int = 8
    tags: list[str] = field(default_factory=list, kw_only=True)

    def spec(self, tag: str = "", **more: Any) -> SandboxSpec:
        """A sandbox to ask for; `more`: other fields of the spec."""
        return SandboxSpec(tag or ids.new_id(), self.installation, **more)

    async def create(self, tag: str = "", **more: Any) -> Sandbox:
        """A running sandbox."""
        spec = self.spec(tag, **more)
        if spec.tag not in self.tags:
            self.tags.append(spec.tag)
            await self.intend(spec.tag)
        return await self.provider.create(spec)

    async def intend(self, tag: str) -> None:
        """Called before the provider is asked to make something: whoever keeps a record of it does so now."""

    async def found(self, installation: str = "") -> list[SandboxInfo]:
        """Those of this trial that the provider lists; a place may hold others too."""
        return [info for info in await self.provider.list(installation) if info.tag in self.tags]

    async def clean(self) -> None:
        """Destroy whatever it has made."""
        for info in await self.found(self.installation):
            await (await self.provider.attach(info.external_id)).destroy()
        self.tags.clear()


Check = Callable[[Trial], Awaitable[None]]


def promise(check: Check) -> str:
    """What a check holds the provider to, in a line."""
    return (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")


async def describes_itself(trial: Trial) -> None:
    """A sandbox says what it is."""
    tag = ids.new_id()
    info = await (await trial.create(tag)).info()
    same((info.tag, info.installation, info.presence), (tag, trial.installation, Presence.RUNNING))
    hold(info.external_id, "it has no external id")
    hold(info.workspace.startswith("/"), "its workspace is no absolute path")
    hold(info.home.startswith("/"), "its home is no absolute path")
    hold(info.isolation, "it does not say how it is isolated")


async def create_is_idempotent(trial: Trial) -> None:
    """The same tag is the same sandbox, however often it is asked for."""
    tag = ids.new_id()
    made = await asyncio.gather(*(trial.create(tag) for _ in range(4)))
    same(len({(await each.info()).external_id for each in made}), 1)
    same([info.tag for info in await trial.found(trial.installation)], [tag])


async def found_by_tag(trial: Trial) -> None:
    """A sandbox is found by its installation and by its id."""
    mine = await (await trial.create()).info()
    hold(mine.external_id in [info.external_id for info in await trial.found()], "it is not in the whole list")
    same([info.tag for info in await trial.found(trial.installation)], [mine.tag])
    same(list(await trial.provider.list(ids.new_id())), [])
    same(await (await trial.provider.attach(mine.external_id)).info(), mine)


async def missing_is_not_found(trial: Trial) -> None:
    """What is not there is not found."""
    for wrong in (ids.new_id(), "f" * 64, "..", "a/b", ""):
        with refuses(ErrorCode.NOT_FOUND):
            await trial.provider.attach(wrong)


async def tag_is_no_path(trial: Trial) -> None:
    """A tag that is no name is refused."""
    for tag in ("", "../up", "a/b", ".", ".."):
        with refuses(ErrorCode.USAGE):
            await trial.provider.create(replace(trial.spec(), tag=tag))


async def every_byte_passes(trial: Trial) -> None:
    """Every byte passes both ways, at once and unchanged, and half-closing ends stdin."""
    sandbox = await trial.create()
    for data in AWKWARD:
        stream = await sandbox.open(["cat"])
        await stream.write(data)
        # Before the end: nothing may be held back until more comes.
        came = b""
        async with asyncio.timeout(DEADLINE):
            while len(came) < len(data):
                came += await stream.read()
        same(came, data)
        await stream.close_write()
        same(await read_all(stream), b"")
        await stream.close()


async def much_passes(trial: Trial) -> None:
    """Many mebibytes pass both ways at the same time."""
    block = random.Random(3).randbytes(1 << 20)  # noqa: S311 - to compare, not to hide
    stream = await (await trial.create()).open(["cat"])

    async def send() -> None:
        for number in range(trial.mebibytes):
            await stream.write(bytes([number]) + block)
        await stream.close_write()

    wanted, came = hashlib.sha256(), hashlib.sha256()
    for number in range(trial.mebibytes):
        wanted.update(bytes([number]) + block)
    async with Background("contract") as background, asyncio.timeout(BULK_SECONDS):
        sending = background.spawn(send(), "send")
        while data := await stream.read():
            came.update(data)
        await sending
    same(came.hexdigest(), wanted.hexdigest())
    await stream.close()


async def cut_ends_the_reader(trial: Trial) -> None:
    """A cut in the middle ends the reader and not the sandbox."""
    sandbox = await trial.create()
    stream = await sandbox.open(["/bin/sh", "-c", "while :; do echo more; done"])
    await read_line(stream)
    await stream.close()
    # What had come before the cut may still be read; then the reader ends.
    same(set(await read_all(stream)) - set(b"more\n"), set())
    same(await run(sandbox, "echo", "alive"), "alive\n")


async def streams_do_not_mix(trial: Trial) -> None:
    """Streams at the same time do not mix."""
    sandbox = await trial.create()
    said = await asyncio.gather(*(run(sandbox, "echo", f"number {each}") for each in range(20)))
    same(said, [f"number {each}\n" for each in range(20)])


async def closing_ends_the_process(trial: Trial) -> None:
    """A closed stream ends its reader and its process."""
    sandbox = await trial.create()
    stream = await sandbox.open(["/bin/sh", "-c", 'echo $$; cat; echo over > "$RC_WORKSPACE/over"'])
    await read_line(stream)
    async with Background("contract") as background, asyncio.timeout(DEADLINE):
        reading = background.spawn(stream.read(), "read")
        await asyncio.sleep(0.01)
        await stream.close()
        same(await reading, b"")
        await sh(sandbox, 'until [ -e "$RC_WORKSPACE/over" ]; do sleep 0.02; done')
    with refuses():
        await stream.write(b"x")


async def unknown_command_is_not_found(trial: Trial) -> None:
    """A command that is not there is not found, and named."""
    sandbox = await trial.create()
    with refuses(ErrorCode.NOT_FOUND, "no-such-command-anywhere"):
        await sandbox.open(["no-such-command-anywhere"])


async def arguments_arrive(trial: Trial) -> None:
    """Arguments arrive as they are."""
    words = ["a b", "", "-x", "$HOME", "new\nline", "🙂", "'\""]
    said = await run(await trial.create(), "printf", r"%s\0", *words)
    same(said, "".join(f"{word}\0" for word in words))


async def processes_outlive_streams(trial: Trial) -> None:
    """A process outlives its stream."""
    sandbox = await trial.create()
    stream = await sandbox.open(["/bin/sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' </dev/null 2>&1 & wait"])
    pid = (await read_line(stream)).decode().strip()
    await stream.close()
    same(await sh(sandbox, f"kill -0 {pid} && echo lives"), "lives\n")


async def stderr_is_logged(trial: Trial) -> None:
    """What goes to stderr is in the log and not in the stream."""
    sandbox = await trial.create()
    same(await run(sandbox, "/bin/sh", "-c", "echo out; echo reason >&2"), "out\n")
    hold("reason" in await sandbox.logs(), "the log does not have it")


async def stop_keeps_the_files(trial: Trial) -> None:
    """Stopping ends every process and keeps the files; starting brings the sandbox back."""
    sandbox = await trial.create()
    await sh(sandbox, 'echo kept > "$RC_WORKSPACE/file"; echo also > "$HOME/file"')
    script = "trap '' TERM HUP; (trap '' TERM HUP; setsid sleep 1001 & sleep 1002) & echo up; sleep 1003"
    stream = await sandbox.open(["/bin/sh", "-c", script])
    await read_line(stream)
    await sandbox.stop()
    same(await stream.read(), b"")
    same((await sandbox.info()).presence, Presence.STOPPED)
    with refuses(ErrorCode.UNAVAILABLE):
        await sandbox.open(["true"])
    await sandbox.stop()
    for _ in range(2):
        await sandbox.start()
    same((await sandbox.info()).presence, Presence.RUNNING)
    same(await sh(sandbox, 'cat "$RC_WORKSPACE/file" "$HOME/file"'), "kept\nalso\n")
    left = await sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 100[123]'")
    hold("sleep" not in left, f"still there: {left}")
    await stream.close()


async def destroy_leaves_nothing(trial: Trial) -> None:
    """Destroying leaves nothing and may be repeated, stopped or not."""
    idle = await trial.create()
    await idle.stop()
    await idle.destroy()
    sandbox = await trial.create()
    info = await sandbox.info()
    await sh(
        sandbox,
        'cd "$RC_WORKSPACE" && mkdir -p shut/inner && touch shut/inner/file && ln -s / root && chmod 0 shut/inner shut',
    )
    stream = await sandbox.open(["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"])
    await read_line(stream)
    for _ in range(2):
        await sandbox.destroy()
    same(await stream.read(), b"")
    same(await trial.found(trial.installation), [])
    left = os.listdir(trial.provider.root) if trial.provider.root.exists() else []
    same([name for name in left if info.tag in name], [])
    with refuses(ErrorCode.NOT_FOUND):
        await trial.provider.attach(info.external_id)
    for call in (sandbox.info, sandbox.start, lambda: sandbox.open(["true"])):
        with refuses():
            await call()
    await stream.close()


CHECKS: Sequence[Check] = (
    describes_itself,
    create_is_idempotent,
    found_by_tag,
    missing_is_not_found,
    tag_is_no_path,
    every_byte_passes,
    much_passes,
    cut_ends_the_reader,
    streams_do_not_mix,
    closing_ends_the_process,
    unknown_command_is_not_found,
    arguments_arrive,
    processes_outlive_streams,
    stderr_is_logged,
    stop_keeps_the_files,
    destroy_leaves_nothing,
)


def hold(true: object, problem: str) -> None:
    """Raise AssertionError with the problem unless it is true; `python -O` would leave out an assert."""
    if not true:
        raise AssertionError(problem)


def same(found: object, wanted: object) -> None:
    """Raise AssertionError with both, each cut to a line, where they differ."""
    hold(found == wanted, f"{repr(found)[:200]} instead of {repr(wanted)[:200]}")


@contextmanager
def refuses(code: ErrorCode | None = None, words: str = "") -> Iterator[None]:
    """The block must raise our error, with this code and these words in it."""
    try:
        yield
    except RemoteClaudeError as error:
        same(error.code, code or error.code)
        hold(words in error.message, f"{error.message!r} does not name {words}")
    else:
        raise AssertionError(f"it was not refused{f' as {code}' if code else ''}")


async def read_all(stream: ByteStream, most: int = 1 << 26) -> bytes:
    """Everything until the end of the stream."""
    data = bytearray()
    async with asyncio.timeout(DEADLINE):
        while len(data) < most and (more := await stream.read()):
            data += more
    return bytes(data)


async def read_line(stream: ByteStream) -> bytes:
    """Up to the next newline."""
    line = b""
    async with asyncio.timeout(DEADLINE):
        while not line.endswith(b"\n"):
            more = await stream.read(1)
            if not more:
                break
            line += more
    return line


async def run(sandbox: Sandbox, *argv: str) -> str:
    """What a command prints."""
    stream = await sandbox.open(argv)
    try:
        await stream.close_write()
        return (await read_all(stream)).decode()
    finally:
        await stream.close()


async def sh(sandbox: Sandbox, script: str) -> str:
    """What a shell script prints, both streams."""
    return await run(sandbox, "/bin/sh", "-c", f"exec 2>&1\n{script}")
