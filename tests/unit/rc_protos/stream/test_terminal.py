from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.emulator import Emulator
from support.painter import screenful

from rc_protos.stream.terminal import ModeTracker

ESCAPES = [
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?2004h",
    b"\x1b[?25l",
    b"\x1b[?25h",
    b"\x1b[?1;1000h",
    b"\x1b[?1;1000l",
    b"\x1b[?1006h",
    b"\x1b=",
    b"\x1b>",
    b"\x1b[m",
    b"\x1b[0m",
    b"\x1b[1;31m",
    b"\x1b[38;5;200;4m",
    b"\x1b[48;2;1;2;3m",
    b"\x1b[22;39m",
    b"\x1b[4:3m",
    b"\x1b[0;7m",
    b"\x1b[3;20r",
    b"\x1b[r",
    b"\x1b[2 q",
    b"\x1b]0;a title\x07",
    b"\x1b]2;\xe4\xb8\xad\xe6\x96\x87\x1b\\",
    b"\x1b]8;;http://x/\x07",
    b"\x1bP1$r0m\x1b\\",
    b"\x1b_Gf=100;AAAA\x1b\\",
    b"\x1b(0",
    b"\x1b(B",
    b"\x0e",
    b"\x0f",
    b"\x1b[>1u",
    b"\x1b[<u",
    b"\x1b[>4;2m",
    b"\x1b[4h",
    b"\x1b[4l",
    b"\x1b[!p",
    b"\x1bc",
    b"\x1b[10;5H",
    b"\x1b[2J",
    b"\x1b7",
    b"text\r\n",
    "wide 中文 🎉 é".encode(),
    b"\x1b",
    b"\x1b[",
    b"\x1b]0;half",
    b"\x18",
    b"\x1b]0;t\x0e\x07",
    b"\x1b_" + b"A" * 5000,
    b"\x1b]2;" + b"t" * 5000,
    b"\x1b\\",
]
outputs = st.lists(st.sampled_from(ESCAPES) | st.binary(max_size=6), max_size=30).map(b"".join)


def fed(*pieces: bytes) -> ModeTracker:
    tracker = ModeTracker()
    for piece in pieces:
        tracker.feed(piece)
    return tracker


@given(outputs, st.data())
@settings(max_examples=300)
def test_how_the_output_is_cut_makes_no_difference(output: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=8)))
    pieces = [output[a:b] for a, b in zip([0, *cuts], [*cuts, len(output)], strict=True)]
    assert fed(*pieces).preamble() == fed(output).preamble()
    assert fed(*pieces).ground == fed(output).ground


@given(outputs)
@settings(max_examples=300)
@example(b"\x1b[1m\x1b[4:3m\x1b[38;2;1;2;3m\x1b[?25l\x1b[5;9r")
def test_a_preamble_says_all_a_tracker_knows(output: bytes) -> None:
    preamble = fed(output).preamble()
    again = fed(preamble)
    assert again.preamble() == preamble
    assert again.ground


@given(outputs, outputs)
@settings(max_examples=300)
def test_a_boundary_is_never_inside_an_escape_or_a_character(before: bytes, after: bytes) -> None:
    tracker = fed(before)
    skip = tracker.safe_boundary(after)
    assert 0 <= skip <= len(after)
    assert tracker.preamble() == fed(before + after[:skip]).preamble()
    if tracker.ground and skip < len(after) and after[:skip].endswith(b"\n") is False and skip:
        assert after[skip] & 0xC0 != 0x80 or skip == 0


@pytest.mark.parametrize(
    ("output", "preamble"),
    [
        (b"plain", b""),
        (b"\x1b[?1049h\x1b[?2004h", b"\x1b[?1049h\x1b[?2004h"),
        (b"\x1b[?47h", b"\x1b[?47h"),
        (b"\x1b[?1049h\x1b[?1049l", b""),
        (b"\x1b[?25l", b"\x1b[?25l"),
        (b"\x1b[?7l\x1b[?7h", b""),
        (b"\x1b[1m\x1b[31m\x1b[22m", b"\x1b[31m"),
        (b"\x1b[31m\x1b[1;32m\x1b[0m\x1b[4m", b"\x1b[4m"),
        (b"\x1b[31;41mx\x1b[49m", b"\x1b[31m"),
        (b"\x1b[3;10r", b"\x1b7\x1b[3;10r\x1b8"),
        (b"\x1b]0;t\x07", b"\x1b]2;t\x07"),
        (b"\x1b(0\x0e", b"\x1b(0\x0e"),
        (b"\x1b[>1u\x1b[>5u\x1b[<u", b"\x1b[>1u"),
        (b"\x1b[5 q", b"\x1b[5 q"),
        (b"\x1b[?2004h\x1b[1mx\x1bc", b""),
        (b"\x1b[31m\x1b[!p", b""),
        (b"\x1b[?1000;1006h", b"\x1b[?1000h\x1b[?1006h"),
        (b"\x0e\x1bc", b""),
        (b"\x1b[!p\x0e", b"\x0e"),
        (b"\x1b]0;t\x0e\x07", b"\x1b]2;t\x0e\x07"),
        (b"\x1b_" + b"A" * 5000 + b"\x1b[?25l", b"\x1b[?25l"),
    ],
)
def test_what_is_restored(output: bytes, preamble: bytes) -> None:
    assert fed(output).preamble() == preamble


def test_an_image_of_many_bytes_is_not_kept_and_its_end_is_found() -> None:
    tracker = fed(b"\x1b_Ga=T;" + b"QUJD" * 100_000)
    assert not tracker.ground
    tracker.feed(b"QUJD\x1b")
    assert not tracker.ground
    tracker.feed(b"\\\x1b[?2004h")
    assert tracker.ground
    assert tracker.preamble() == b"\x1b[?2004h"


def test_a_boundary_inside_an_image_is_after_it() -> None:
    tracker = fed(b"\x1bPq" + b"~" * 10_000)
    tail = b"~~\n~~\x1b\\rest of the line\nnext"
    assert tail[tracker.safe_boundary(tail) :] == b"next"


def test_a_boundary_is_a_line_or_an_escape_or_a_character() -> None:
    wide = "中".encode()
    assert fed(b"").safe_boundary(b"one\x1b[1mtwo\nthree") == len(b"one\x1b[1mtwo\n")
    assert fed(b"\x1b]0;ti").safe_boundary(b"t\nle\x07x\x1b[H") == len(b"t\nle\x07x")
    assert fed(b"").safe_boundary(b"one\x1b[1mtwo") == 3
    assert fed(wide[:1]).safe_boundary(wide[1:] + wide) == 2


def fresh_look(log: bytes, limit: int, columns: int, rows: int) -> Emulator:
    """A new terminal shown what a fresh attachment is shown."""
    begin = max(0, len(log) - limit)
    tracker = fed(log[:begin])
    begin += tracker.safe_boundary(log[begin:])
    emulator = Emulator(columns, rows)
    emulator.feed(tracker.preamble())
    emulator.feed(log[begin:])
    return emulator


def never_cut(log: bytes, columns: int = 80, rows: int = 24) -> Emulator:
    emulator = Emulator(columns, rows)
    emulator.feed(log)
    return emulator


def same(one: Emulator, other: Emulator) -> None:
    assert one.text() == other.text()
    assert one.picture() == other.picture()


@pytest.mark.parametrize("limit", [700, 2000, 5000])
def test_a_long_scrolling_output_looks_the_same(limit: int) -> None:
    log = b"".join(f"\x1b[{31 + n % 7}m{n} line with 中文 and \x1b[1mbold\x1b[22m, é\r\n".encode() for n in range(2000))
    log += b"\x1b[0m$ \x1b[?2004h"
    same(fresh_look(log, limit * 4, 80, 24), never_cut(log))


@pytest.mark.parametrize("limit", range(3000, 9000, 333))
def test_the_alternate_screen_looks_the_same(limit: int) -> None:
    log = b"$ vim\r\n\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b]0;file - VIM\x07\x1b[2 q"
    log += b"".join(screenful(n, 80, 24) for n in range(40))
    same(fresh_look(log, limit, 80, 24), never_cut(log))


def test_after_the_alternate_screen_only_the_normal_one_shows() -> None:
    log = b"".join(b"%d\r\n" % n for n in range(100)) + b"\x1b[?1049h"
    log += b"".join(screenful(n, 80, 24) for n in range(40)) + b"\x1b[?1049l$ "
    log += b"".join(b"after %d\r\n" % n for n in range(30))
    same(fresh_look(log, 5000, 80, 24), never_cut(log))


def test_after_a_change_of_size_a_program_that_draws_anew_looks_the_same() -> None:
    before = b"\x1b[?1049h" + b"".join(screenful(n, 80, 24) for n in range(10))
    after = screenful(99, 100, 30)
    whole = Emulator(80, 24)
    whole.feed(before)
    whole.resize(100, 30)
    whole.feed(after)
    same(fresh_look(before + after, 1 << 20, 100, 30), whole)
    same(fresh_look(before + after, len(after) + 500, 100, 30), whole)


def test_a_colour_that_was_set_long_ago_is_still_on() -> None:
    log = b"\x1b[48;5;17;1m" + b"".join(b"line %d\r\n" % n for n in range(500))
    same(fresh_look(log, 2000, 80, 24), never_cut(log))


def test_a_scroll_region_is_restored() -> None:
    log = b"header\r\n\x1b[3;24r\x1b[3;1H" + b"".join(b"\x1b[%dmrow %d\r\n" % (31 + n % 7, n) for n in range(400))
    shown, whole = fresh_look(log, 3000, 80, 24), never_cut(log)
    # The rows above the region were drawn before the replay begins: a program that scrolls a part draws it on SIGWINCH.
    assert shown.grid()[3:] == whole.grid()[3:]
