"""Where tasks run, at the command line: providers, and the sandboxes that no task answers for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

from example_provider import ExampleProvider
from rc_protos import ids
from rc_providers.base import SandboxSpec
from rc_providers.contract import CHECKS
from rc_providers.local import LocalProvider
from support.daemon import DaemonProcess
from support.person import RC, Person
from support.plugins import Billed, Forgetful, Mute, plug_in
from support.sandboxes import sh


@pytest.fixture
def me(daemon: DaemonProcess) -> Person:
    return Person(daemon, daemon.repository())


def test_providers_are_listed_with_what_they_can_do(me: Person) -> None:
    found = {each["name"]: each for each in me.json("provider", "ls")}
    assert {"local", "docker", "ssh"} <= found.keys()
    assert found["ssh"]["reference"] == "ssh:HOST"
    assert found["docker"]["reference"] == "docker[:CONTEXT]"
    assert "--on ssh:HOST" in me.ok("provider", "ls")
    [isolation] = [each for each in me.json("provider", "show", "local")["options"] if each["name"] == "isolation"]
    assert isolation["choices"] == ["bubblewrap", "none"]
    assert "-o memory  memory at most" in me.ok("provider", "show", "docker")
    wrong = me.rc("provider", "show", "dokcer")
    assert (wrong.code, wrong.err.splitlines()[-1].strip()) == (3, "did you mean docker?")


def left_behind(me: Person, installation: str = "") -> str:
    """A sandbox with a file in it that no registry knows; its id."""

    async def make() -> str:
        provider = LocalProvider(me.daemon.places.sandboxes / "local")
        [mine] = {info.installation for info in await provider.list()}
        sandbox = await provider.create(SandboxSpec(ids.new_id(), installation or mine, "none"))
        await sh(sandbox, 'echo precious > "$RC_WORKSPACE/file"')
        return (await sandbox.info()).tag

    return asyncio.run(make())


def standing(me: Person) -> dict[str, tuple[str, str]]:
    """What each local sandbox is, and how."""
    return {
        each["sandbox"]["id"]: (each["standing"], each["presence"])
        for each in me.json("sandbox", "ls")
        if each["sandbox"]["provider"] == "local"
    }


def saved(place: str) -> bytes:
    with tarfile.open(place.strip()) as archive:
        file = archive.extractfile("./file")
        assert file is not None
        return file.read()


@pytest.mark.needs("bwrap", "git")
def test_what_belongs_to_a_task_is_left_to_its_commands(me: Person) -> None:
    me.task("t")
    [mine] = standing(me)
    assert standing(me) == {mine: ("task", "running")}
    assert "the task t" in me.ok("sandbox", "ls")
    assert "bubblewrap" in me.ok("sandbox", "show", "t")
    for word, instead in (("rm", "rc rm t"), ("stop", "rc stop t"), ("start", "rc resume t"), ("adopt", "rc show t")):
        done = me.rc("sandbox", word, mine)
        assert done.code == 7
        assert f"the sandbox {mine} belongs to the task t" in done.err
        assert instead in done.err
    assert standing(me) == {mine: ("task", "running")}


@pytest.mark.needs("bwrap", "git")
def test_an_orphan_is_found_stopped_and_removed_with_its_files_saved(me: Person) -> None:
    me.task("t")
    orphan = left_behind(me)
    assert standing(me)[orphan] == ("orphan", "running")
    me.ok("sandbox", "stop", orphan)
    assert standing(me)[orphan] == ("orphan", "stopped")
    me.ok("sandbox", "start", orphan)
    me.daemon.stop()
    me.daemon.start()
    assert standing(me)[orphan] == ("orphan", "running")
    assert saved(me.ok("sandbox", "rm", orphan)) == b"precious\n"
    assert orphan not in standing(me)


@pytest.mark.needs("bwrap", "git")
def test_anothers_sandbox_is_touched_only_once_it_is_adopted(me: Person) -> None:
    me.task("t")
    theirs = left_behind(me, ids.new_id())
    assert standing(me)[theirs] == ("foreign", "running")
    for word in ("start", "stop", "rm"):
        done = me.rc("sandbox", word, theirs)
        assert (done.code, f"rc sandbox adopt {theirs}" in done.err) == (7, True)
    me.ok("sandbox", "adopt", theirs)
    me.daemon.kill()
    me.daemon.start()
    assert standing(me)[theirs] == ("adopted", "running")
    me.ok("sandbox", "stop", theirs)
    # What sleeps is woken to be saved.
    assert saved(me.ok("sandbox", "rm", theirs)) == b"precious\n"
    assert theirs not in standing(me)


@pytest.mark.needs("bwrap", "git")
def test_what_cannot_be_saved_stays_unless_it_is_discarded(me: Person) -> None:
    me.task("t")
    orphan = left_behind(me)
    # A file where the saved ones are to lie.
    (me.daemon.places.data / "saved").write_text("")
    done = me.rc("sandbox", "rm", orphan)
    assert done.code == 7
    assert f"rc sandbox rm --discard {orphan}" in done.err
    assert standing(me)[orphan] == ("adopted", "running")
    assert me.ok("sandbox", "rm", "--discard", orphan) == ""
    assert orphan not in standing(me)


def test_a_provider_is_verified_for_what_it_promises(home: DaemonProcess, tmp_path: Path) -> None:
    home.environment = dict(plug_in(tmp_path, ExampleProvider))
    home.start()
    me = Person(home, home.repository())
    lines = me.ok("provider", "verify", "example").splitlines()
    assert [line.partition("  ")[0].strip() for line in lines] == ["holds"] * (len(CHECKS) + 1)
    assert me.json("sandbox", "ls") == []


def test_a_broken_promise_is_named(home: DaemonProcess, tmp_path: Path) -> None:
    home.environment = dict(plug_in(tmp_path, Forgetful))
    home.start()
    done = Person(home, home.repository()).rc("provider", "verify", "forgetful")
    assert done.code == 1
    broken = done.out.splitlines().index("broken  What goes to stderr is in the log and not in the stream")
    assert done.out.splitlines()[broken + 1].strip() == "the log does not have it"
    assert done.out.count("broken") == 1


def test_what_costs_money_is_verified_only_when_that_is_said(home: DaemonProcess, tmp_path: Path) -> None:
    home.environment = dict(plug_in(tmp_path, Billed))
    home.start()
    me = Person(home, home.repository())
    assert "--live --max-cost 8.00" in me.rc("provider", "verify", "billed").err
    assert "1.00 are allowed" in me.rc("provider", "verify", "billed", "--live", "--max-cost", "1").err
    assert me.rc("provider", "verify", "billed", "--live", "--max-cost", "8").code == 0


def test_what_a_killed_verification_has_made_is_swept(home: DaemonProcess, tmp_path: Path) -> None:
    home.environment = dict(plug_in(tmp_path, ExampleProvider))
    home.start()
    me = Person(home, home.repository())
    # A daemon that the command brings back knows the provider, too.
    me.environment |= home.environment
    process = subprocess.Popen([RC, "provider", "verify", "example"], env=me.environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    home.kill()
    process.communicate(timeout=60)
    home.start()
    deadline = time.monotonic() + 60
    while me.json("sandbox", "ls"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_sandbox_that_does_not_come_up_says_why(home: DaemonProcess, tmp_path: Path) -> None:
    home.environment = dict(plug_in(tmp_path, Mute))
    home.start()
    me = Person(home, home.repository())
    me.ok("run", "-d", "--agent", "demo", "--on", "mute", "--name", "t", "demo: say hi")
    me.until("t", "failed")
    shown = me.json("show", "t")
    assert shown["evidence"][:2] == ["booting", "out of luck"]
    assert "out of luck" in me.ok("show", "t")


@pytest.mark.needs("bwrap", "git")
def test_what_a_sandbox_uses_is_shown(me: Person) -> None:
    me.task("t")
    [found] = me.json("sandbox", "stats", "t")
    newest = found["samples"][-1]
    assert found["task"] == "t"
    assert newest["processes"] > 0
    assert newest["memory_bytes"] > 1 << 20
    assert newest["disk_bytes"] > newest["disk_free_bytes"] > 0
    assert "PROCESSES" in me.ok("sandbox", "stats")
    deadline = time.monotonic() + 60
    while "processors" not in me.ok("show", "t"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    me.ok("stop", "t")
    assert me.rc("sandbox", "stats", "t").code == 7


@pytest.mark.needs("bwrap", "git")
def test_stats_are_followed(me: Person) -> None:
    me.task("t")
    busy = subprocess.Popen([RC, "exec", "t", "--", "sh", "-c", "while :; do :; done"], env=me.environment)
    follow = [RC, "sandbox", "stats", "t", "-f", "--json"]
    with subprocess.Popen(follow, env=me.environment, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        late = threading.Timer(60, watching.kill)
        late.start()
        cpu = 0.0
        while cpu < 0.05:
            line = watching.stdout.readline()
            assert line, "it ended before anything was used"
            cpu = json.loads(line)["samples"][-1]["cpu"]
        late.cancel()
        watching.terminate()
    busy.terminate()
    busy.wait(60)
