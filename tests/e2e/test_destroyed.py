"""The sandbox is destroyed at any moment: what comes back is at most 60 s old and never half-written."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos.model import Event, Task, TaskState
from rc_providers.local.layout import Layout
from support.daemon import DaemonProcess, destroy_sandbox, wait_for

SECONDS = 90.0
# Two files that are the same in every commit, each replaced whole; a third says which they are, and when that was.
WRITER = """\
i=$(cut -d' ' -f1 number 2>/dev/null || echo 0)
until [ -e /tmp/go ]; do
    i=$((i + 1))
    seq -f "$i %g" 3000 > a.tmp; mv a.tmp a
    cp a b.tmp; mv b.tmp b
    echo "$i $(date +%s)" > n.tmp; mv n.tmp number
    git add a b number && git commit -qm "$i"
    sleep 0.05
done
"""


def repository(home: DaemonProcess) -> Path:
    """A repository with the writer in it."""
    folder = home.repository("writing")
    (folder / "writer.sh").write_text(WRITER)
    (folder / ".gitignore").write_text("*.tmp\n")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "writer")
    return folder


def git(folder: Path, *words: str) -> str:
    """What git says; it must succeed."""
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("bwrap", "git")
@pytest.mark.timeout(3600 * 2)
async def test_destroyed_at_any_moment(rounds: int, home: DaemonProcess) -> None:
    seed = time.time_ns()
    dice = random.Random(seed)
    home.environment = {"RC_SAVE_INTERVAL": "1"}
    home.start()
    oldest = 0.0
    async with await DaemonClient.connect(start=False) as client:
        spec = home.spec("demo: run sh writer.sh", isolation="", repository=str(repository(home)))
        task, _ = await client.create_task(spec)
        task = await wait_for(client, task.id, TaskState.WORKING)
        copy = home.places.tasks / task.id / "work.git"
        for number in range(rounds):
            await asyncio.sleep(dice.uniform(0.0, 4.0))
            gone = time.time()
            await destroy_sandbox(home.places, task.sandbox_id)
            task, events = await recovered(client, task)
            try:
                age = check_copy(copy, gone)
                # Newer is fine: a copy that was complete when its telling was cut.
                if started_from(events) != last_saved(events, task):
                    git(copy, "merge-base", "--is-ancestor", last_saved(events, task), started_from(events))
                assert age <= 60.0
                oldest = max(oldest, age)
            except AssertionError as error:
                error.add_note(f"round {number}, seed {seed}")
                error.add_note(evidence(copy))
                raise
        (Layout(home.places.sandboxes / "local" / task.sandbox_id).temporary / "go").touch()
        await wait_for(client, task.id, TaskState.DONE)
    print(f"{rounds} rounds, seed {seed}: the oldest copy was {oldest:.0f} s old")


def evidence(copy: Path) -> str:
    """How the copy looks a moment later: a defect that stays, or one that passes."""
    done = subprocess.run(["git", "-C", copy, "fsck", "--full"], capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stdout} {done.stderr}\n{(copy / 'objects/info/alternates').read_text()}"


async def recovered(client: DaemonClient, before: Task) -> tuple[Task, list[Event]]:
    """The task, once its coding agent runs in another sandbox; what had happened by then."""
    async with asyncio.timeout(SECONDS):
        while True:
            task = await client.get_task(before.id)
            assert task.state is not TaskState.FAILED, task.reason
            events, _ = await client.list_events(task.id)
            opened = [event for event in events if event.kind == "session.opened"]
            anew = task.sandbox_id != before.sandbox_id and prepared(events, task.sandbox_id)
            if anew and task.state is TaskState.WORKING and opened[-1].seq > prepared(events, task.sandbox_id):
                return task, events
            await asyncio.sleep(0.05)


def prepared(events: list[Event], sandbox_id: str) -> int:
    """The number of the event that says that this sandbox's workspace is ready; 0: it is not."""
    intended = [event.seq for event in events if event.kind == "sandbox.intended" and sandbox_id in event.payload]
    return next((e.seq for e in events if e.kind.startswith("work.") and starts(e) and e.seq > intended[0]), 0)


def starts(event: Event) -> bool:
    """A workspace was made."""
    return event.kind in ("work.prepared", "work.recovered")


def started_from(events: list[Event]) -> str:
    """The commit that the newest workspace was made from."""
    return str(json.loads([event for event in events if starts(event)][-1].payload)["commit"])


def last_saved(events: list[Event], task: Task) -> str:
    """The branch in the newest safe copy before that."""
    made = [event.seq for event in events if starts(event)][-1]
    saved = [event for event in events if event.kind == "work.saved" and event.seq < made]
    return str(json.loads(saved[-1].payload)["head"]) if saved else task.base_commit


def check_copy(copy: Path, gone: float) -> float:
    """Whole to the last object, and the same pair in it; how old it was, in seconds."""
    if not (copy / "refs").exists() or "refs/rc/head" not in git(copy, "for-each-ref"):
        return 0.0
    git(copy, "fsck", "--full", "--strict", "--no-dangling")
    for ref in ("refs/rc/head", "refs/rc/save"):
        for name in ("a", "b"):
            lines = show(copy, ref, name).splitlines()
            assert [line.split()[1] for line in lines] == [str(n) for n in range(1, len(lines) + 1)]
            assert len(lines) in (0, 3000)
            assert len({line.split()[0] for line in lines}) <= 1
    committed = [show(copy, "refs/rc/head", name) for name in ("a", "b", "number")]
    assert committed[0] == committed[1]
    if not committed[2]:
        return 0.0
    number, moment = committed[2].split()
    assert committed[0].startswith(f"{number} ")
    return gone - float(moment)


def show(copy: Path, ref: str, name: str) -> str:
    """A file of a commit; empty before there was one."""
    return git(copy, "show", f"{ref}:{name}") if name in git(copy, "ls-tree", "--name-only", ref).split() else ""
