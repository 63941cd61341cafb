"""A terminal attached anew, over links that are cut at random, shows what one shows that was there all the time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rc_daemon.sessions.screen import Screens
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.v1 import session_pb2 as pb
from support import painter
from support.cutting import Cutting
from support.emulator import Emulator
from support.linked import Linked, linked

DEADLINE = 60
# None is one row less than another: that is what the daemon's change of size back and forth uses.
SIZES = [(80, 24), (100, 30), (61, 18)]
# Much less than the sessions print, so that every replay begins in the middle.
LIMIT = 6000
ENVIRONMENT = {"TERM": b"xterm-256color", "LANG": b"C.UTF-8", "LESS": b"", "HOME": b"/nonexistent"}


class Eye:
    """A terminal and who looks at it; the changes of size that nobody asked for pass it by."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.emulator = Emulator(*size)
        self.offset = -1

    async def watch(self, items: AsyncIterator[pb.AttachSessionResponse]) -> None:
        """Show everything that comes."""
        async for item in items:
            if item.HasField("preamble"):
                self.emulator.feed(item.preamble.data)
                self.offset = item.preamble.out_offset
            elif item.HasField("data"):
                self.emulator.feed(item.data.data)
                self.offset = item.data.offset + len(item.data.data)
            elif item.mark.kind == "resize" and (size := (item.mark.size.columns, item.mark.size.rows)) in SIZES:
                self.emulator.resize(*size)


class Stage:
    """One program on a terminal, and an eye that was there from the beginning."""

    def __init__(self, given: Linked, background: Background) -> None:
        self.given = given
        self.background = background
        self.id = ids.new_id()
        self.size = SIZES[0]
        self.whole = Eye(self.size)

    async def open(self, *argv: str) -> None:
        """Start the program."""
        size = pb.TerminalSize(columns=self.size[0], rows=self.size[1])
        await again(partial(self.given.open, self.id, *argv, pty=True, size=size, environment=ENVIRONMENT))
        self.background.spawn(self.whole.watch(self.given.attach(self.id)), "whole")

    async def type(self, keys: bytes) -> None:
        """Type, over cuts."""
        await again(partial(self.given.type, self.id, keys))

    async def attach(self, size: tuple[int, int]) -> Eye:
        """A new terminal, of its own size."""
        self.size = size
        eye = Eye(size)
        wanted = pb.TerminalSize(columns=size[0], rows=size[1])
        self.background.spawn(eye.watch(self.given.attach(self.id, screen=True, size=wanted)), "fresh")
        return eye

    async def same(self, eye: Eye) -> None:
        """Wait until both show the same after everything that was printed, and go on doing so."""
        session = self.given.mirrors.find(self.id)
        assert session is not None
        alike = 0
        try:
            async with asyncio.timeout(DEADLINE):
                while alike < 10:
                    await asyncio.sleep(0.03)
                    at_end = self.whole.offset == eye.offset == session.end("out") and session.size == self.size
                    alike = alike + 1 if at_end and self.whole.emulator.picture() == eye.emulator.picture() else 0
        except TimeoutError:
            assert (self.whole.offset, session.size) == (eye.offset, self.size)
            assert self.whole.emulator.text() == eye.emulator.text()
            assert self.whole.emulator.picture() == eye.emulator.picture()


async def again(work: object) -> None:
    """Over cuts: opening is idempotent, and input is numbered."""
    from rc_protos.errors import ErrorCode, RemoteClaudeError

    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await work()  # type: ignore[operator]
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)


@asynccontextmanager
async def cut_links(dice: random.Random) -> AsyncIterator[Linked]:
    """The daemon's middle over a link that is cut again and again."""
    cuts: list[str] = []
    async with linked(through=partial(Cutting, dice=dice, told=cuts.append)) as given:
        given.mirrors.screens = Screens(LIMIT)
        yield given


def text(dice: random.Random, lines: int) -> str:
    """Lines with wide characters."""
    return "".join(
        "".join(dice.choice("abc def 中文é─ 🎉") for _ in range(dice.randrange(90))) + "\n" for _ in range(lines)
    )


VIM = [
    b"\x06",
    b"\x02",
    b"ihello \xe4\xb8\xad\xe6\x96\x87\x1b",
    b"G",
    b"gg",
    b"dd",
    b":vsplit\r",
    b":set number\r",
    b"/abc\r",
]
LESS = [b"\x06", b"\x02", b"jjjj", b"kk", b"G", b"g", b"/abc\r", b"n", b"50%", b"-N\r"]


@pytest.mark.needs("vim", "less")
@pytest.mark.parametrize(
    ("argv", "keys"), [(["vim", "-n", "-i", "NONE", "-u", "NONE"], VIM), (["less"], LESS)], ids=["vim", "less"]
)
async def test_real_programs(argv: Sequence[str], keys: list[bytes], rounds: int, tmp_path: Path) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    dice = random.Random(seed)
    (tmp_path / "text").write_text(text(dice, 400))
    async with cut_links(dice) as given, Background("test") as background:
        stage = Stage(given, background)
        await stage.open(*argv, str(tmp_path / "text"))
        for _ in range(min(rounds, 50)):
            for _ in range(dice.randrange(1, 8)):
                await stage.type(dice.choice(keys))
            # Vim draws nothing anew while it waits for a key to go on after a message.
            await stage.type(b"\x1b" if argv[0] == "vim" else b"")
            await asyncio.sleep(dice.uniform(0, 0.1))
            if dice.random() < 0.5:
                given.link.cut()
            await stage.same(await stage.attach(dice.choice(SIZES)))


PIECES = [
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?25l",
    b"\x1b[?25h",
    b"\x1b[?7l",
    b"\x1b[?7h",
    b"\x1b[?6h",
    b"\x1b[?6l",
    b"\x1b[4h",
    b"\x1b[4l",
    b"\x1b[3;15r",
    b"\x1b[r",
    b"\x1b[1;38;5;200m",
    b"\x1b[48;2;1;2;3m",
    b"\x1b[m",
    b"\x1b]2;\xe4\xb8\xad title\x07",
    b"\x1b[10;5H",
    b"\x1b[2J",
    b"\x1b[2K",
    "wide 中文 🎉 é".encode(),
    b"text\r\n",
    b"x" * 100,
]
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map(lambda found: b"".join(found) * 8)


def test_any_program_that_draws_anew(rounds: int) -> None:
    """One sandbox for all examples; each is a session of its own, attached while it draws."""
    with asyncio.Runner() as runner:
        stack = cut_links(random.Random(3))
        linked_up = runner.run(stack.__aenter__())

        @settings(max_examples=max(rounds, 5), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(pieces, st.lists(st.integers(1, 400), min_size=1, max_size=40), st.sampled_from(SIZES), st.randoms())
        def shows_the_same(stream: bytes, sizes: list[int], size: tuple[int, int], dice: random.Random) -> None:
            runner.run(drawn(linked_up, stream, sizes, size, dice.random() / 5))

        try:
            shows_the_same()
        finally:
            runner.run(stack.__aexit__(None, None, None))


async def drawn(given: Linked, stream: bytes, sizes: list[int], size: tuple[int, int], wait: float) -> None:
    """Draw in pieces of these sizes, attach after a while, compare."""
    words, at, number = [], 0, 0
    while at < len(stream):
        length = sizes[number % len(sizes)]
        words.append(stream[at : at + length].hex())
        at, number = at + length, number + 1
    async with Background("test") as background:
        stage = Stage(given, background)
        await stage.open("python3", "-c", painter.SOURCE, *words)
        await asyncio.sleep(wait)
        eye = await stage.attach(size)
        async with asyncio.timeout(DEADLINE):
            while eye.emulator.screen.title != "drawn":
                await asyncio.sleep(0.01)
        await stage.same(eye)
        given.link.cut()
        await stage.same(await stage.attach(SIZES[0]))


async def test_lines_that_scroll(rounds: int) -> None:
    """What nobody draws anew: the replay alone must do."""
    dice = random.Random(rounds)
    lines = [f"\x1b[{dice.choice([0, 1, 7, 31, 44])}m{line}\r" for line in text(dice, 600).splitlines(keepends=True)]
    async with cut_links(dice) as given, Background("test") as background:
        stage = Stage(given, background)
        script = (
            "import sys, time\nfor line in sys.stdin.buffer:\n    sys.stdout.buffer.write(line); sys.stdout.flush()\n"
        )
        await stage.open("sh", "-c", 'stty raw -echo; exec python3 -c "$0"', script)
        await asyncio.sleep(0.3)
        for at in range(0, len(lines), 50):
            await stage.type("".join(lines[at : at + 50]).encode())
            if at >= 100:
                await stage.same(await stage.attach(SIZES[0]))
