"""`rc run` until the coding agent has said its first byte, against starting it bare in the same bubblewrap."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from installation import Installation
from rc_providers.base import SandboxSpec
from rc_providers.local import LocalProvider, bubblewrap
from rc_providers.local.layout import Layout
from timing import Row, interleave, medians

MOST = 0.150
# What the coding agent says first is its answer to `initialize`.
HELLO = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{}}}\n'


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    with Installation() as rc, tempfile.TemporaryDirectory(prefix="rcb") as folder:
        rc.task("warm")
        bundle = next(path.parent for path in (rc.home / "cache/bundle").glob("*/__main__.py"))
        bare = Bare(Path(folder), bundle)
        median = medians(interleave({"rc": lambda: first_byte(rc), "bare": bare.first_byte}, max(5, rounds // 2)))
    more = median["rc"] - median["bare"]
    detail = f"{median['rc'] * 1e3:.0f} ms against {median['bare'] * 1e3:.0f} ms"
    what = "rc run to the coding agent's first byte, over starting it bare"
    yield Row(what, f"+ {more * 1e3:.0f} ms", "<= + 150 ms", more <= MOST, detail)


def first_byte(rc: Installation) -> float:
    """Seconds from the command to the first byte in the mirror of the coding agent's session."""
    name = f"b{time.monotonic_ns()}"
    began = time.perf_counter()
    process = subprocess.Popen(
        [*rc.argv, "run", "-d", "--agent", "demo", "--name", name, "say hello"],
        env={**os.environ, **rc.env},
        cwd=rc.repository(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    task = process.stdout.readline().strip()
    place = rc.home / "data/tasks" / task / "sessions"
    ends = time.perf_counter() + 30
    while not any(each.stat().st_size for each in place.glob("*/out.0000000000000000")):
        if time.perf_counter() > ends:
            raise TimeoutError(f"{name} said nothing within 30 s")
        time.sleep(0.0005)
    took = time.perf_counter() - began
    process.communicate(timeout=30)
    rc.rc("wait", name)
    rc.rc("rm", "--discard", name)
    return took


class Bare:
    """The demo coding agent in a sandbox of the same shape, started by hand."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        provider = LocalProvider(folder)
        asyncio.run(self._make(provider))
        layout = Layout(folder / "bare")
        record = layout.record()
        assert record is not None
        record = replace(record, binds=(str(bundle),))
        argv = bubblewrap.command(layout, record, Path(os.devnull), 0)
        # The same sandbox; instead of the supervisor it runs the coding agent.
        self._argv = [*argv[: argv.index("--chdir") + 2], bubblewrap.python(), "-S", "-m", "rc_demo"]
        at = self._argv.index("--clearenv") + 1
        self._argv[at:at] = ["--setenv", "PYTHONPATH", str(bundle)]

    async def _make(self, provider: LocalProvider) -> None:
        sandbox = await provider.create(SandboxSpec("bare", "bench"))
        await sandbox.stop()

    def first_byte(self) -> float:
        """Seconds from its start to its first byte."""
        began = time.perf_counter()
        process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(HELLO)
        process.stdin.flush()
        if not process.stdout.read(1):
            raise RuntimeError("the bare coding agent said nothing")
        took = time.perf_counter() - began
        process.kill()
        process.communicate()
        return took
