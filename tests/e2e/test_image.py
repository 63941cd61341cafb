"""The image with the coding agents, built for real: what is in it, and tasks that run in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support import engine
from support.daemon import DaemonProcess
from support.image import Image, build, pins, script
from support.model_server import ModelServer, Reply
from support.person import Person

pytestmark = [
    pytest.mark.needs("docker", "git"),
    pytest.mark.slow,
    pytest.mark.timeout(1300),
    pytest.mark.xdist_group("image"),
]

MOST_BYTES = 1_300_000_000
PINS = pins()
# What starts an ACP adapter, says hello to it and prints its answer.
INITIALIZE = """
import json, subprocess, sys
hello = {"protocolVersion": 1, "clientCapabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
peer = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
peer.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode() + b"\\n")
peer.stdin.flush()
print(peer.stdout.readline().decode())
peer.kill()
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("image"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tag", "localhost:5000/name"], "has no version"),
        (["--extra-ca", "/nowhere"], "is no folder"),
        (["--base", "localhost:9/no-such-base:1"], "agent/Dockerfile cannot be built"),
    ],
)
def test_what_cannot_be_built_is_said(words: list[str], says: str) -> None:
    done = script("--tag", "rc-test-image:never", *words)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def task(me: Person, image: Image, *words: str, **environment: str) -> Iterator[str]:
    """A task in a container of the image, done; nothing of it is left afterwards."""
    try:
        done = me.rc("run", "--on", "docker", "-o", f"image={image.name}", "--name", "it", *words, **environment)
        assert done.code == 0, done.out + done.err
        yield done.out
    finally:
        me.rc("rm", "--discard", "it")
        deadline = time.monotonic() + 60
        while me.json("ls") and time.monotonic() < deadline:
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("command", "version"),
    [("claude", PINS["CLAUDE"]), ("codex", PINS["CODEX"]), ("gemini", PINS["GEMINI"]), ("node", f"v{PINS['NODE']}")],
)
def test_what_starts_is_what_is_pinned(image: Image, command: str, version: str) -> None:
    assert version in image.run(command, "--version").split()


@pytest.mark.parametrize("adapter", ["claude-agent-acp", "codex-acp", "gemini --acp"])
def test_an_adapter_answers(image: Image, adapter: str) -> None:
    answer = json.loads(image.run("python3", "-c", INITIALIZE, *adapter.split()))
    assert answer["result"]["protocolVersion"] == 1
    assert answer["result"]["agentCapabilities"]["loadSession"]


def test_who_and_what_else_is_there(image: Image) -> None:
    told = image.run(
        "sh", "-c", "id -un; pwd; cat /proc/1/comm; touch mine; rg --version; git --version; npm --version"
    )
    assert told.splitlines()[:3] == ["rc", "/workspace", "tini"]
    image.run("test", "-s", "/etc/ssl/certs/rc-test.pem")


def test_nothing_is_there_twice(image: Image) -> None:
    big = image.run("find", "/opt", "/usr", "/home", "-xdev", "-type", "f", "-size", "+100M", "-printf", r"%f\n")
    assert sorted(big.split()) == ["claude", "codex", "node"]
    assert image.size < MOST_BYTES
    assert f"{image.size / 1e9:.2f} GB" in image.said


def test_the_sbom_lists_it(image: Image) -> None:
    sbom = json.loads(image.sbom.read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {each["name"]: each["version"] for each in sbom["components"]}
    assert listed["@agentclientprotocol/claude-agent-acp"] == PINS["CLAUDE_ACP"]
    assert listed["@agentclientprotocol/codex-acp"] == PINS["CODEX_ACP"]
    assert listed["@google/gemini-cli"] == PINS["GEMINI"]
    assert listed["node"] == PINS["NODE"]
    assert {"git", "python3", "ripgrep", "tini"} <= listed.keys()


def test_it_is_healthy(image: Image) -> None:
    [_, check] = image.attributes["Config"]["Healthcheck"]["Test"]
    image.run("sh", "-c", check)


def test_the_demo_in_it(image: Image, daemon: DaemonProcess) -> None:
    me = Person(daemon, daemon.repository())
    with task(me, image, "--agent", "demo", "demo: write a.txt one; run id -un") as said:
        assert "● id -un" in said
        assert "+one" in me.ok("diff", "it")


def test_claude_code_in_it(image: Image, daemon: DaemonProcess) -> None:
    """The image's own Claude Code; the model answers on the host."""
    script = [
        Reply("write the greeting", tool="Write", arguments={"file_path": "/workspace/hi.txt", "content": "hi\n"}),
        Reply("hi.txt", text="It is written."),
    ]
    me = Person(daemon, daemon.repository())
    with ModelServer(script, engine.gateway()).serving() as server:
        keys = {"ANTHROPIC_API_KEY": "sk-ant-fake-000", "ANTHROPIC_BASE_URL": server.url}
        with task(me, image, "--agent", "claude", "write the greeting", **keys) as said:
            assert "It is written." in said
            assert "+hi" in me.ok("diff", "it")
    assert server.problems == []
    assert not os.path.exists(daemon.places.cache / "coding-agents")
