"""Files in and out of a sandbox: over kills of the daemon, as commands, and what an editor makes of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_client.files import CHUNK, PART_LEAST, TaskFiles
from rc_client.trees import download_tree
from rc_protos.errors import ErrorCode, RemoteClaudeError
from support.daemon import DaemonProcess, wait_for
from support.person import RC, Person

DEADLINE = 90
SIZE = 6 * PART_LEAST
STRANGE = b"caf\xe9\n name"


class Cut(Exception):
    """The transfer ends here."""


class Watched(TaskFiles):
    """Does something once, when half of it is through."""

    def __init__(self, client: DaemonClient, half: Callable[[], None]) -> None:
        super().__init__(client, "t", moved=self._moved)
        self.through, self.longest = 0, 0
        self._half: Callable[[], None] | None = half

    def _moved(self, count: int) -> None:
        self.through += count
        self.longest = max(self.longest, count)
        if self._half is not None and self.through > SIZE // 2:
            half, self._half = self._half, None
            half()


def cut() -> None:
    raise Cut


@pytest.fixture
async def client(daemon: DaemonProcess):  # type: ignore[no-untyped-def]
    """With a task whose name is t."""
    async with await DaemonClient.connect(start=False) as made, asyncio.timeout(DEADLINE):
        await made.create_task(daemon.spec(name="t"))
        await wait_for(made, "t", "done")
        yield made


@pytest.fixture
def big(tmp_path: Path) -> Path:
    file = tmp_path / "big"
    file.write_bytes(os.urandom(SIZE))
    return file


def same(one: Path, other: Path) -> bool:
    return hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


async def test_a_transfer_goes_on_after_a_kill(client: DaemonClient, daemon: DaemonProcess, big: Path) -> None:
    def kill() -> None:
        daemon.kill()
        daemon.start()

    there = Watched(client, kill)
    await there.upload(str(big), b"big", mode=0o640)
    assert (there.through, there.longest > CHUNK) == (SIZE, True)
    back = Watched(client, kill)
    await back.download(b"big", str(big.with_name("back")))
    # Nothing came twice.
    assert back.through == SIZE
    assert same(big, big.with_name("back"))
    assert big.with_name("back").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(big.parent)) == ["back", "big"]
    assert b".rc-" not in b"".join([each.path async for batch in back.listing(b"") for each in batch])


async def test_a_later_one_goes_on_where_one_was_interrupted(client: DaemonClient, big: Path) -> None:
    target = big.with_name("back")
    for work in (lambda files: files.upload(str(big), b"big"), lambda files: files.download(b"big", str(target))):
        with pytest.raises(Cut):
            await work(Watched(client, cut))
        again = Watched(client, lambda: None)
        await work(again)
        assert (again.through, again.longest > CHUNK) == (SIZE, True)
    assert same(big, target)
    with pytest.raises(Cut):
        await Watched(client, cut).download(b"big", str(target))
    # It is another file by then: no mixture of the two.
    big.write_bytes(os.urandom(SIZE))
    await TaskFiles(client, "t").upload(str(big), b"big")
    await TaskFiles(client, "t").download(b"big", str(target))
    assert same(big, target)


def plant(folder: Path) -> None:
    """One of everything."""
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "sub/empty").chmod(0o750)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "sub/nothing").touch()
    (folder / "big").write_bytes(os.urandom(PART_LEAST + 1))
    Path(os.fsdecode(os.fsencode(folder) + b"/" + STRANGE)).write_text("strange")
    (folder / "link").symlink_to("sub/nothing")
    (folder / "dangling").symlink_to("/nowhere")
    (folder / "up").symlink_to("..")


def described(folder: Path) -> dict[bytes, tuple[int, bytes]]:
    """Every file below a folder: its mode, and what it holds or where it leads."""
    found = {}
    for place, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = os.path.join(place, name)
            if os.path.islink(path):
                held = os.readlink(path)
            else:
                held = Path(os.fsdecode(path)).read_bytes() if os.path.isfile(path) else b"/"
            found[path[len(os.fsencode(folder)) :]] = (os.lstat(path).st_mode, held)
    return found


@pytest.fixture
def me(daemon: DaemonProcess, client: DaemonClient, tmp_path: Path) -> Person:
    (tmp_path / "here").mkdir()
    return Person(daemon, tmp_path / "here")


async def test_cp(me: Person, client: DaemonClient) -> None:
    plant(me.directory / "tree")
    await asyncio.to_thread(_cp, me)
    os.mkfifo(me.directory / "tree/pipe")
    done = await asyncio.to_thread(me.rc, "cp", "-r", "tree", "t:again")
    assert (done.code, "pipe is no file" in done.err) == (0, True)


def _cp(me: Person) -> None:
    here = me.directory
    me.ok("cp", "-r", "tree", "t:")
    me.ok("cp", "-r", "t:tree", "back")
    assert described(here / "back") == described(here / "tree")
    # Into what is there, and over it.
    (here / "back/run").write_text("old")
    me.ok("cp", "-r", "t:tree/.", "back")
    assert described(here / "back") == described(here / "tree")
    me.ok("cp", "-r", "t:tree", "back")
    assert described(here / "back/tree") == described(here / "tree")
    me.ok("cp", "tree/run", "tree/link", "t:tree/sub")
    assert me.ok("file", "cat", "t", "tree/sub/run") == "#!/bin/sh\n"
    me.ok("cp", "t:tree/sub/run", "t:README.md", ".")
    assert (here / "README.md").read_text() == "hello\n"
    assert (here / "run").stat().st_mode & 0o777 == 0o755
    me.ok("cp", "t:/etc/hostname", ".", "--outside")
    for words, code in [
        (["t:/etc/hostname", "."], ErrorCode.PERMISSION),
        (["README.md", "t:../x"], ErrorCode.PERMISSION),
        (["t:missing", "."], ErrorCode.NOT_FOUND),
        (["t:tree", "."], ErrorCode.USAGE),
        (["t:run", "t:x"], ErrorCode.USAGE),
        (["run", "README.md", "t:nowhere"], ErrorCode.PRECONDITION),
    ]:
        done = me.rc("cp", *words)
        assert (done.code, "Traceback" in done.err) == (RemoteClaudeError("", code=code).border.exit, False), words


async def test_the_file_commands(me: Person, client: DaemonClient) -> None:
    await asyncio.to_thread(_file_commands, me)


def _file_commands(me: Person) -> None:
    data = os.urandom(3 * CHUNK)
    assert me.rc("file", "write", "t", "a/b").code == 3
    me.ok("file", "write", "-p", "t", "a/b", stdin=data)
    done = subprocess.run([RC, "file", "cat", "t", "a/b"], env=me.environment, capture_output=True, check=True)
    assert done.stdout == data
    me.ok("file", "write", "t", os.fsdecode(b"a/caf\xe9.txt"), stdin=b"")
    listed = subprocess.run([RC, "file", "ls", "-r", "t", "a"], env=me.environment, capture_output=True, check=True)
    assert listed.stdout == b"a/b\na/caf\xe9.txt\n"
    found = subprocess.run([RC, "file", "find", "t", "*.txt"], env=me.environment, capture_output=True, check=True)
    assert found.stdout == b"a/caf\xe9.txt\n"
    assert f"-rw-r--r-- {len(data):>12} " in me.ok("file", "ls", "-l", "t", "a").splitlines()[0]
    objects = [json.loads(line) for line in me.ok("file", "ls", "--json", "t", "a").splitlines()]
    assert [(each["path"], each["kind"], each["mode"]) for each in objects] == [
        ("a/b", "file", "0644"),
        ("a/caf\udce9.txt", "file", "0644"),
    ]


@pytest.mark.needs("git")
async def test_watch(me: Person, client: DaemonClient, daemon: DaemonProcess) -> None:
    command = [RC, "file", "watch", "t"]
    process = await asyncio.create_subprocess_exec(
        *command, env=me.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert await process.stderr.readline() == "— watching\n".encode()
        await asyncio.to_thread(me.ok, "file", "write", "t", "new", stdin="x")
        assert await process.stdout.readline() == b"changed new\n"
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        assert await process.stderr.readline() == "— some changes were missed: look again\n".encode()
        await asyncio.to_thread(me.ok, "exec", "t", "--", "rm", "new")
        while (line := await process.stdout.readline()) == b"changed new\n":
            pass
        assert line == b"removed new\n"
    finally:
        process.terminate()
        await process.wait()


async def test_edit(me: Person, client: DaemonClient) -> None:
    await asyncio.to_thread(_edit, me)


def _edit(me: Person) -> None:
    def edit(path: str, script: str) -> tuple[int, str]:
        """With an editor that does this to `f`."""
        code = f"import subprocess, sys; f = sys.argv[1]; {script}"
        (me.directory / "editor.py").write_text(code)
        done = me.rc("edit", "t", path, EDITOR=f"{sys.executable} {me.directory}/editor.py")
        return done.code, done.err

    assert edit("README.md", "open(f, 'a').write('mine')") == (0, "")
    assert me.ok("file", "cat", "t", "README.md") == "hello\nmine"
    assert edit("README.md", "pass") == (0, "— nothing was changed\n")
    assert edit("new", "open(f, 'a').write('made')") == (0, "")
    assert me.ok("file", "cat", "t", "new") == "made"
    code, said = edit("new", "open(f, 'w').write('lost'); sys.exit(3)")
    assert (code, "ended with 3" in said) == (7, True)
    kept = Path(said.split("yours is ")[1].strip())
    assert kept.read_text() == "lost"
    shutil.rmtree(kept.parent)
    theirs = f"subprocess.run([{RC!r}, 'file', 'write', 't', 'new'], input=b'theirs', check=True)"
    code, said = edit("new", f"open(f, 'w').write('mine'); {theirs}")
    assert (code, "changed meanwhile" in said) == (6, True)
    assert me.ok("file", "cat", "t", "new") == "theirs"
    kept = Path(said.split("yours is ")[1].split(";")[0])
    assert kept.read_text() == "mine"
    shutil.rmtree(kept.parent)


async def test_a_hostile_tree_stays_in_its_folder(client: DaemonClient, tmp_path: Path) -> None:
    """Links that the sandbox makes lead nowhere while a tree is copied, or copied again."""
    script = "mkdir t; cd t; ln -s {0} way; head -c 5000000 /dev/zero > big; chmod 4755 big; touch s; chmod 6755 s"
    outside = tmp_path / "outside"
    outside.mkdir()
    await run_inside(client, script.format(outside))
    files, target = TaskFiles(client, "t"), tmp_path / "target"
    await download_tree(files, b"t", str(target))
    assert {name: (target / name).stat().st_mode & 0o7777 for name in ("big", "s")} == {"big": 0o755, "s": 0o755}
    # What was a link here is a folder there by now.
    await run_inside(client, "cd t; rm way; mkdir way; cp big way/big")
    with pytest.raises(RemoteClaudeError) as caught:
        await download_tree(files, b"t", str(target))
    assert caught.value.code in (ErrorCode.USAGE, ErrorCode.PRECONDITION)
    assert os.listdir(outside) == []


async def run_inside(client: DaemonClient, script: str) -> None:
    from rc_client.session import AttachedSession
    from rc_protos import ids

    sandbox_id, session_id = (await client.get_task("t")).sandbox_id, ids.new_id()
    await client.open_session(sandbox_id, session_id, argv=[b"sh", b"-ec", script.encode()], kind="exec")
    session = AttachedSession(client, sandbox_id, session_id)
    said = [item async for item in session.output()]
    await session.close()
    assert said[-1].status.code == 0, said  # type: ignore[union-attr]
