"""What people get wrong, and what they meet by bad luck: one clear line, an exit code, nothing lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess
from support.person import RC, Done, Person
from support.readonly import read_only

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.xdist_group("cli")]
RUN = ("run", "-d", "--agent", "demo")


@pytest.fixture(scope="module")
def me() -> Iterator[Person]:
    """One daemon with one task, `here`, for all of these tests."""
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")))
    daemon.start()
    person = Person(daemon, daemon.repository())
    person.task("here")
    yield person
    assert person.json("show", "here")["state"] == "done"
    asyncio.run(daemon.clean())


def refused(done: Done, code: int, *words: str) -> None:
    """One line says what, one what to do; never a traceback, nothing on stdout."""
    assert done.code == code, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0].startswith("rc: ")
    assert len(lines) <= 2, done.err
    assert all(line.startswith("    ") for line in lines[1:])
    assert "Traceback" not in done.err
    assert "defect" not in done.err
    assert all(word in done.err for word in words), done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("bogus", 2, "no such command 'bogus'"),
        ("ls --bogus", 2, "no such option: --bogus"),
        ("daemon bogus", 2, "rc daemon --help"),
        ("show", 2, "rc show --help"),
        ("exec here", 2, "rc exec --help"),
        ("logs here --tail many", 2, "--tail: 'many' is no number"),
        ("logs here --tail -1", 2, "--tail"),
        ("logs here --since yesterday", 2, "such as 10m"),
        ("ls --filter state=lazy", 2, "there are: queued"),
        ("ls --filter colour=red", 2, "keys: state, name"),
        ("ls --format {nam}", 2, "there are: activity"),
        ("wait here --timeout soon", 2, "rc wait --help"),
        ("completion tcsh", 2, "bash, zsh, fish"),
        ("config get detach_kye", 2, "did you mean detach_key?"),
        ("config set timeout long", 2, "must be a whole number"),
        ("config set agent dem", 3, "did you mean demo?"),
        ("config set provider nowhere", 3, "local"),
        ("show her", 3, "did you mean here?"),
        ("show nosuch", 3, "rc ls"),
        ("approve nosuch", 3, "rc inbox"),
        ("attach nosuch", 3, "rc ls"),
        ("attach here/nosuch", 3, "rc shell here"),
        ("agent show nosuch", 3, "claude, demo"),
        ("show 0", 4, "such as: "),
        ("run -d --agent dem hi", 3, "did you mean demo?"),
        ("run -d --agent demo --on nowhere hi", 3, "local"),
        ("run -d --agent demo --isolation jail hi", 2, "bubblewrap, none"),
        ("run -d --agent demo --mode wild hi", 2, "ask, edits, auto, plan"),
        ("run -d --agent demo --name here hi", 5, "another --name"),
        ("run -d --agent demo --name Ärger hi", 2, "such as: fix-login"),
        ("run -d --agent demo --ref nosuch hi", 2, "nosuch"),
        ("run -d --agent demo --repo /nowhere hi", 2, "/nowhere"),
        ("run -d --agent demo --dirty --repo . hi", 2, "--dirty"),
        ("run -d --agent demo -F /nowhere", 2, "No such file"),
        ("run -d --agent demo", 2, "the prompt is empty"),
        ("shell here", 2, "needs a terminal"),
        ("attach here --native", 2, "needs a terminal"),
        ("approve here", 7, "rc show here"),
        ("cancel here", 7, "rc show here"),
        ("resume here", 7, "rc say here"),
        ("fetch here --branch a..b", 2, "cannot be a branch"),
        ("exec here -- nosuch", 3, "cannot run nosuch"),
    ],
)
def test_a_wrong_word(me: Person, words: str, code: int, said: str) -> None:
    if words == "show 0":
        me.task("second")
    refused(me.rc(*words.split()), code, said)


def test_an_error_is_json_when_data_is(me: Person) -> None:
    done = me.rc("show", "nosuch", "--json")
    assert (done.code, done.out) == (3, "")
    assert '"code": "not_found"' in done.err


# repositories


def no_repository(me: Person, place: Path) -> None:
    refused(me.rc(*RUN, "hi", cwd=place), 2, str(place), "git init")


def empty(me: Person, place: Path) -> None:
    me.git("init", "-q", cwd=place)
    refused(me.rc(*RUN, "hi", cwd=place), 7, "no commit yet", "git commit")


def detached(me: Person, place: Path) -> None:
    base = made(me, place)
    me.git("checkout", "-q", "--detach", cwd=place)
    assert works(me, place)["baseCommit"] == base


def dirty_submodule(me: Person, place: Path) -> None:
    (place / "inner").mkdir()
    made(me, place / "inner")
    made(me, place)
    me.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(place / "inner"), "part", cwd=place)
    me.git("commit", "-qam", "with a part", cwd=place)
    (place / "part/file").write_text("changed\n")
    before = me.git("status", "--short", cwd=place)
    works(me, place)
    works(me, place, "--dirty")
    assert me.git("status", "--short", cwd=place) == before
    assert (place / "part/file").read_text() == "changed\n"


def strange_names(me: Person, place: Path) -> None:
    made(me, place)
    names = ("with space", "with\nnewline", "\N{PARTY POPPER}", "-rf", 'quo"te')
    for name in names:
        (place / name).write_text(f"{name}\n")
    task = works(me, place, "--dirty", script="run find . -maxdepth 1 -type f -exec sed -i '$ax' {} +")
    for name in names:
        assert me.ok("exec", task["id"], "--", "cat", f"./{name}") == f"{name}\nx\n"
    me.git("add", "-A", cwd=place)
    me.git("commit", "-qm", "all", cwd=place)
    me.ok("apply", task["id"], cwd=place)
    assert {name: (place / name).read_text() for name in names} == {name: f"{name}\nx\n" for name in names}


def many_files(me: Person, place: Path) -> None:
    made(me, place)
    for folder in range(50):
        (place / str(folder)).mkdir()
        for number in range(1000):
            (place / str(folder) / str(number)).write_bytes(b"%d\n" % number)
    me.git("add", "-A", cwd=place)
    me.git("commit", "-qm", "many", cwd=place)
    task = works(me, place, script="write 7/7 changed")
    assert me.ok("diff", task["id"], "--stat").splitlines()[-1].startswith(" 1 file changed")


def made(me: Person, place: Path) -> str:
    """A repository with a file; its commit."""
    (place / "file").write_text("hello\n")
    me.git("init", "-q", cwd=place)
    me.git("add", "file", cwd=place)
    me.git("commit", "-qm", "first", cwd=place)
    return me.git("rev-parse", "HEAD", cwd=place).strip()


def works(me: Person, place: Path, *words: str, script: str = "say hi") -> dict[str, str]:
    """A task runs there to its end; it, as JSON."""
    done = me.rc(*RUN, *words, f"demo: {script}", cwd=place)
    assert done.code == 0, done
    task = done.out.strip()
    assert me.rc("wait", task) == Done(0, "", ""), me.rc("show", task)
    found: dict[str, str] = me.json("show", task)
    return found


@pytest.mark.parametrize("case", [no_repository, empty, detached, dirty_submodule, strange_names, many_files])
def test_a_repository(me: Person, tmp_path: Path, case: Callable[[Person, Path], None]) -> None:
    case(me, tmp_path)


# configuration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('agent = "de', "config.toml is not valid TOML"),
        ('agnet = "demo"', "did you mean agent?"),
        ("[limit]\nruning = 3", "did you mean limit.running?"),
        ('timeout = "long"', "must be a whole number"),
    ],
)
def test_a_configuration_file(me: Person, text: str, said: str) -> None:
    file = me.daemon.places.config / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    try:
        refused(me.rc(*RUN, "hi"), 2, str(file), said)
        assert me.rc("ls").code == 0
        assert said in me.rc("doctor").out
        assert file.read_text() == text
    finally:
        file.unlink()


def test_a_project_file(me: Person, tmp_path: Path) -> None:
    made(me, tmp_path)
    (tmp_path / ".remote-claude.toml").write_text('agnet = "demo"')
    refused(me.rc(*RUN, "hi", cwd=tmp_path), 2, ".remote-claude.toml", "did you mean agent?")


# the machine


@pytest.mark.parametrize("words", ["ls", "run -d --agent demo hi", "daemon start", "demo"])
def test_a_read_only_home(me: Person, tmp_path: Path, words: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "kept").write_text("mine")
    with read_only(home):
        refused(me.rc(*words.split(), HOME=str(home), RC_HOME=str(home / "rc")), 11, str(home), "RC_HOME")
    assert [path.name for path in home.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    "words", ["ls", "events", "logs here", "config show", "diff here", "--help", "exec here -- yes"]
)
def test_a_reader_that_goes(me: Person, words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [RC, *words.split()],
        cwd=me.directory,
        env=me.environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=90,
        check=False,
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in ((0, 141) if words == "diff here" else (141,))


@pytest.mark.parametrize("words", ["ls", "show here", "inbox", "config show", "logs here", "run --agent demo -d hi"])
def test_a_tiny_terminal(me: Person, words: str) -> None:
    with me.screen(*words.split(), columns=20, rows=5, NO_COLOR="1") as screen:
        assert screen.end() == 0
    assert b"Traceback" not in screen.raw
    assert b"\x1b[3" not in screen.raw


def test_a_tiny_terminal_has_a_shell(me: Person) -> None:
    with me.screen("shell", "here", columns=20, rows=5) as screen:
        screen.see("$").type('until [ "$(stty size)" = "5 20" ]; do sleep .1; done; echo fits; exit\n')
        screen.see("\nfits")
        assert screen.end() == 0


def test_a_home_with_a_very_long_path() -> None:
    """Longer than the kernel lets a socket's path be."""
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")) / ("long" * 50))
    daemon.home.mkdir()
    daemon.start()
    try:
        person = Person(daemon, daemon.repository())
        person.task("t")
        assert person.rc("exec", "t", "--", "echo", "inside") == Done(0, "inside\n", "")
    finally:
        asyncio.run(daemon.clean())
        daemon.home.parent.rmdir()
