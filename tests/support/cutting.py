"""Connections that end at a random byte: a link's, by a plug-in of the daemon, and the clients', by a proxy."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar

from rc_protos import errors
from rc_protos.background import Background
from rc_providers.base import ByteStream, Sandbox, SandboxSpec
from rc_providers.local import LocalProvider
from support import plugins
from support.linked import Through

INTO, OUT = "into", "out"
# The most bytes of HTTP/2 that a connection carries before its cut; one message of output is 64 KiB.
MOST = {INTO: 60_000, OUT: 500_000}
_LOG = "RC_TEST_CUTS"
_SEED = "RC_TEST_SEED"
_READY = b"RC-READY "


class Frames:
    """Where one direction of an HTTP/2 connection stands in its frames (RFC 9113, 4.1)."""

    def __init__(self, preface: int) -> None:
        self._left = preface
        self._header = b""

    @property
    def inside(self) -> bool:
        """Not between two frames."""
        return bool(self._left or self._header)

    def feed(self, data: bytes) -> None:
        """Bytes pass."""
        while data:
            if self._left:
                passed = min(self._left, len(data))
                self._left -= passed
                data = data[passed:]
                continue
            wanted = 9 - len(self._header)
            self._header, data = self._header + data[:wanted], data[wanted:]
            if len(self._header) == 9:
                self._left, self._header = int.from_bytes(self._header[:3]), b""


class Allowance:
    """The bytes of one connection until its cut: how many, and in which direction, is drawn."""

    def __init__(self, dice: random.Random, told: Callable[[str], None]) -> None:
        self._direction = dice.choice((INTO, OUT))
        self._left = dice.randrange(1, MOST[self._direction])
        self._frames = {INTO: Frames(24), OUT: Frames(0)}
        self._told = told
        self.over = False

    def take(self, direction: str, data: bytes) -> bytes:
        """What may still pass; from then on `over` may hold."""
        if direction == self._direction:
            data = data[: self._left]
            self._left -= len(data)
        self._frames[direction].feed(data)
        if not self._left and not self.over:
            self.over = True
            self._told(f"{direction} {'inside' if self._frames[direction].inside else 'between'}")
        return data


class Cutter(ByteStream):
    """The stream of a link."""

    def __init__(self, inner: ByteStream, allowance: Allowance) -> None:
        self._inner = inner
        self._allowance = allowance
        self._noise: bytes | None = b""

    async def read(self, limit: int = 65536) -> bytes:
        if self._allowance.over:
            return b""
        data = await self._inner.read(limit)
        before, after = self._booted(data)
        after = self._allowance.take(OUT, after)
        if self._allowance.over:
            await self._inner.close()
        return before + after

    async def write(self, data: bytes) -> None:
        if self._noise is None:
            data = self._allowance.take(INTO, data)
        await self._inner.write(data)
        if self._allowance.over:
            await self._inner.close()
            raise errors.unavailable("cut")

    async def close_write(self) -> None:
        await self._inner.close_write()

    async def close(self) -> None:
        await self._inner.close()

    def _booted(self, data: bytes) -> tuple[bytes, bytes]:
        """Of these bytes, (the boot dialogue's, HTTP/2's)."""
        if self._noise is None:
            return b"", data
        before = len(self._noise)
        self._noise += data
        end = self._noise.find(b"\n", self._noise.find(_READY)) + 1 if _READY in self._noise else 0
        if not end:
            return data, b""
        self._noise = None
        return data[: end - before], data[end - before :]


class Cutting(Through):
    """A sandbox whose streams are cut."""

    def __init__(self, inner: Sandbox, dice: random.Random, told: Callable[[str], None]) -> None:
        super().__init__(inner)
        self._dice = dice
        self._told = told

    async def open(self, argv: Sequence[str]) -> ByteStream:
        return Cutter(await self.inner.open(argv), Allowance(self._dice, self._told))


class CuttingProvider(LocalProvider):
    """The local provider over bad wires, as a plug-in."""

    name: ClassVar[str] = "cutting"

    def __init__(self, root: Path, where: str = "") -> None:
        super().__init__(root, where)
        self._dice = random.Random(int(os.environ[_SEED]))

    async def create(self, spec: SandboxSpec) -> Sandbox:
        return Cutting(await super().create(spec), self._dice, _write_down)

    async def attach(self, external_id: str) -> Sandbox:
        return Cutting(await super().attach(external_id), self._dice, _write_down)


def _write_down(cut: str) -> None:
    with open(os.environ[_LOG], "a", encoding="ascii") as log:
        log.write(cut + "\n")


def plug_in(directory: Path, seed: int) -> Mapping[str, str]:
    """Install the provider for a daemon with this environment; `cuts` reads what it did."""
    return {**plugins.plug_in(directory, CuttingProvider), _LOG: str(directory / "cuts"), _SEED: str(seed)}


def cuts(directory: Path) -> list[str]:
    """Every cut of a link so far: its direction, and whether inside a frame."""
    log = directory / "cuts"
    return log.read_text("ascii").splitlines() if log.exists() else []


@asynccontextmanager
async def cutting_proxy(socket: Path, target: Path, dice: random.Random, told: list[str]) -> AsyncIterator[None]:
    """Clients that connect to `socket` reach `target`, for a while each time."""
    async with Background("proxy") as background:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            allowance = Allowance(dice, told.append)
            try:
                there, back = await asyncio.open_unix_connection(str(target))
            except OSError:
                writer.close()
                return
            ways = [
                background.spawn(_pass(reader, back, INTO, allowance), "into"),
                background.spawn(_pass(there, writer, OUT, allowance), "out"),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            for end in (writer, back):
                end.close()

        server = await asyncio.start_unix_server(serve, str(socket))
        try:
            yield
        finally:
            server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, allowance: Allowance) -> None:
    with suppress(OSError):
        while not allowance.over and (data := await reader.read(65536)):
            writer.write(allowance.take(way, data))
            await writer.drain()
