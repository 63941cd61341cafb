"""What is Docker's own: the walls, the limits, images that do not do, an engine that is not there."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_providers.base import Presence, Sandbox, SandboxSpec
from rc_providers.docker import DockerProvider
from support import engine
from support.linked import linked
from support.sandboxes import DEADLINE, Place, place, read_line, run, sh

pytestmark = pytest.mark.needs("docker")


@pytest.fixture
async def at() -> AsyncIterator[Place]:
    async with place("docker") as found:
        yield found


@pytest.fixture
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An image of single files: path -> text."""
    tar = tmp_path / "image.tar"
    with tarfile.open(tar, "w") as made:
        for name, text in request.param.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            made.addfile(entry, io.BytesIO(text.encode()))
    name = f"rc-test-odd:{ids.new_id()}"
    engine.import_tar(tar, name)
    yield name
    engine.remove_image(name)


async def status(sandbox: Sandbox) -> dict[str, str]:
    lines = (await run(sandbox, "cat", "/proc/self/status")).splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def test_the_walls(at: Place) -> None:
    sandbox = await at.create()
    found = await status(sandbox)
    assert "0" not in found["Uid"].split()
    assert {found[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    assert await sh(sandbox, "(sleep 0.1 &); sleep 0.5; grep -l 'State:.Z' /proc/*/status 2>/dev/null") == ""
    assert await sh(sandbox, "whoami; ls -A $RC_WORKSPACE; ls /var/run/docker.sock 2>/dev/null") == "rc\n"


async def test_limits(at: Place) -> None:
    sandbox = await at.create(options={"memory": "64m", "pids": "50", "cpus": "0.5"})
    told = await at.provider.engine.call(lambda api: api.inspect_container(sandbox.identity))  # type: ignore[attr-defined]
    host = told["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["NanoCpus"]) == (64 << 20, 50, 500_000_000)
    said = await sh(sandbox, "for n in $(seq 60); do sleep 5 & done; wait")
    assert "fork" in said


async def test_a_read_only_root_and_no_network(at: Place) -> None:
    sandbox = await at.create(options={"read-only": "yes", "network": "none"})
    said = await sh(sandbox, "touch /usr/x /etc/x; touch /tmp/a $HOME/b $RC_WORKSPACE/c $RC_STATE/d && echo fine")
    assert said.count("Read-only") == 2
    assert said.endswith("fine\n")
    assert await sh(sandbox, "ls /sys/class/net") == "lo\n"
    await sandbox.stop()
    await sandbox.start()
    assert await sh(sandbox, "ls $RC_WORKSPACE") == "c\n"


@pytest.mark.parametrize(
    "options",
    [{"memory": "much"}, {"cpus": "-1"}, {"cpus": "x"}, {"pids": "few"}, {"user": "nosuch"}, {"build": "/no"}],
)
async def test_settings_that_do_not_fit(at: Place, options: dict[str, str]) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await at.create(options=options)
    assert caught.value.code is ErrorCode.USAGE
    assert await at.provider.list(at.installation) == []


@pytest.mark.parametrize("built", [{"etc/motd": "nothing else"}], indirect=True)
async def test_an_image_without_python_and_without_a_shell(at: Place, built: str) -> None:
    with pytest.raises(RemoteClaudeError, match="has no python3") as caught:
        await at.create(options={"image": built})
    assert caught.value.code is ErrorCode.PRECONDITION
    assert "-o build=" in caught.value.hint
    assert await at.provider.list(at.installation) == []


async def test_an_image_that_is_nowhere(at: Place) -> None:
    said: list[str] = []
    with pytest.raises(RemoteClaudeError, match="no-such-image") as caught:
        await at.create(options={"image": "localhost:9/no-such-image"}, progress=said.append)
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert "-o build=" in caught.value.hint
    assert said == ["pulling localhost:9/no-such-image"]


@pytest.mark.parametrize("file", ["Dockerfile", ".devcontainer/devcontainer.json"])
async def test_an_image_that_is_built(at: Place, file: str, tmp_path: Path) -> None:
    recipe = f"FROM {engine.IMAGE}\nRUN echo built > /made\nENV COLOUR=green\n"
    (tmp_path / "Dockerfile").write_text(recipe)
    if file != "Dockerfile":
        (tmp_path / ".devcontainer").mkdir()
        text = '{\n  // comments are allowed: "a,}"\n  "build": {"dockerfile": "../Dockerfile", "context": ".."},\n}'
        (tmp_path / ".devcontainer" / "devcontainer.json").write_text(text)
    said: list[str] = []
    sandbox = await at.create(options={"build": str(tmp_path / file)}, progress=said.append)
    assert await sh(sandbox, "cat /made; echo $COLOUR") == "built\ngreen\n"
    assert any("RUN echo built" in line for line in said)


async def test_a_container_of_somebody_else(at: Place) -> None:
    tag = ids.new_id()
    api = at.provider.engine  # type: ignore[attr-defined]
    made = await api.call(lambda api: api.create_container(engine.IMAGE, "true", name=f"rc-{tag}"))
    try:
        for work in (at.create(tag), at.provider.attach(made["Id"])):
            with pytest.raises(RemoteClaudeError, match="not .*ours"):
                await work
    finally:
        await api.call(lambda api: api.remove_container(made["Id"]))


async def test_a_container_that_was_never_finished(at: Place) -> None:
    spec = at.spec()
    api = at.provider.engine  # type: ignore[attr-defined]
    labels = {"io.remote-claude.tag": spec.tag, "io.remote-claude.installation": spec.installation}
    await api.call(lambda api: api.create_container(engine.IMAGE, "true", name=f"rc-{spec.tag}", labels=labels))
    sandbox = await at.provider.create(spec)
    assert (await sandbox.info()).presence is Presence.RUNNING
    assert await run(sandbox, "echo", "whole") == "whole\n"


async def test_paused_and_on_again(at: Place) -> None:
    sandbox = await at.create()
    stream = await sandbox.open(["cat"])
    api = at.provider.engine  # type: ignore[attr-defined]
    await api.call(lambda api: api.pause(sandbox.identity))  # type: ignore[attr-defined]
    assert "paused" in str((await sandbox.info()).notices)
    with pytest.raises(RemoteClaudeError) as caught:
        await sandbox.open(["true"])
    assert caught.value.code is ErrorCode.UNAVAILABLE
    await stream.write(b"waited\n")
    await sandbox.start()
    assert await read_line(stream) == b"waited\n"
    await stream.close()


async def test_an_engine_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    provider = DockerProvider(tmp_path)
    for call in (provider.check(""), provider.list(), provider.create(SandboxSpec("x", "i"))):
        with pytest.raises(RemoteClaudeError, match=r"no Docker engine answers at .*none\.sock") as caught:
            await call
        assert caught.value.code is ErrorCode.UNAVAILABLE
    await provider.close()


async def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    provider = DockerProvider(tmp_path, "no-such-context")
    with pytest.raises(RemoteClaudeError, match="no-such-context") as caught:
        await provider.check("")
    assert caught.value.code is ErrorCode.NOT_FOUND
    await provider.close()


async def test_a_link_over_a_container_that_is_restarted() -> None:
    async with linked("docker") as at:
        await at.open("s1", "sh", "-c", "head -c 3000000 /dev/urandom | tee $RC_WORKSPACE/data; sleep 1000")
        await at.sandbox.stop()
        await at.sandbox.start()
        async with asyncio.timeout(DEADLINE):
            await at.link.up(DEADLINE)
        await at.open("s2", "true")
