"""The bundle in every Python of this machine: it runs in those we claim, and the others are told what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rc_protos.stream.boot import STAGE0, Boot, Failed
from rc_protos.v1 import session_pb2 as pb
from rc_providers.base import ByteStream
from support.linked import Through, bundle, linked

OLDEST = tuple(map(int, re.search(r"version_info < \((\d+), (\d+)\)", STAGE0).groups()))  # type: ignore[union-attr]


def found() -> dict[tuple[int, int], str]:
    """Interpreters by version: those on the path, and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    places = [f"python3.{minor}" for minor in range(6, 20)]
    programs = [shutil.which(name) for name in places] + [str(path) for path in pyenv.glob("versions/3.*/bin/python3")]
    versions: dict[tuple[int, int], str] = {sys.version_info[:2]: sys.executable}
    for program in filter(None, programs):
        code = "import sys; print('%d %d' % sys.version_info[:2])"
        done = subprocess.run(
            [program, "-S", "-E", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode == 0:
            major, minor = map(int, done.stdout.split())
            versions.setdefault((major, minor), program)
    return dict(sorted(versions.items()))


def named(version: tuple[int, int]) -> str:
    return "python{}.{}".format(*version)


FOUND = found()
CLAIMED = [version for version in FOUND if version >= OLDEST]
OLDER = [version for version in FOUND if version < OLDEST]


@pytest.mark.parametrize("version", CLAIMED, ids=named)
async def test_a_session_runs(version: tuple[int, int]) -> None:
    class Other(Through):
        async def open(self, argv: Sequence[str]) -> ByteStream:
            assert argv[0] == "python3"
            return await self.inner.open([FOUND[version], *argv[1:]])

    async with linked("none", through=Other) as all_:
        await all_.open("s", "sh", "-c", "read line; echo got $line")
        hello = all_.link.hello
        assert hello is not None
        assert hello.python.startswith("{}.{}.".format(*version))
        await all_.type("s", b"it\n")
        items = [item async for item in all_.attach("s")]
    out = b"".join(item.data.data for item in items if item.data.stream == pb.STREAM_OUT)
    assert out == b"got it\n"
    assert items[-1].exit.code == 0


@pytest.mark.skipif(not OLDER, reason="no older Python on this machine")
@pytest.mark.parametrize("version", OLDER, ids=named)
def test_an_older_one_says_what_is_needed(version: tuple[int, int]) -> None:
    made = bundle()
    boot = Boot(made.digest, made.size, made.read, "n0nce")
    argv = [FOUND[version], *boot.argv[1:]]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    (action,) = boot.feed(done.stdout)
    assert isinstance(action, Failed)
    running, needed = named(version)[6:], ".".join(map(str, OLDEST))
    assert re.fullmatch(rf"the python3 there is {running}\.\d+, {needed} or newer is needed", action.reason)
    assert done.stderr == b""
