"""Where tasks run, at the command line: providers."""

from __future__ import annotations

import pytest

from support.daemon import DaemonProcess
from support.person import Person


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
