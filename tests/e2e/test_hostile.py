"""A hostile task in bubblewrap: what it tries, and that it gets nothing."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rc_protos import ids
from rc_protos.errors import RemoteClaudeError
from rc_providers.base import Sandbox
from support.sandboxes import Place, place, read_all, read_line, run, sh

pytestmark = pytest.mark.needs("bwrap")

SECRET = "what-the-task-must-never-see"
# keyctl(2) and add_key(2) have no names in libc.
KEYCTL = {"x86_64": (250, 248), "aarch64": (219, 217)}
JOIN_SESSION_KEYRING, SESSION_KEYRING = 1, -3


@pytest.fixture
async def at() -> AsyncIterator[Place]:
    async with place("bubblewrap") as found:
        yield found


@pytest.fixture
async def sandbox(at: Place, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    return await at.create()


@pytest.fixture
def in_home() -> Iterator[Path]:
    """A directory of the user's."""
    made = Path(tempfile.mkdtemp(prefix=".rc-test-", dir=Path.home()))
    (made / "credentials").write_text(SECRET)
    yield made
    shutil.rmtree(made)


async def python(sandbox: Sandbox, script: str) -> str:
    """What a Python script prints, its traceback included."""
    return await sh(sandbox, f"python3 -I - <<'END'\n{script}\nEND")


async def test_it_cannot_read_the_users_files(sandbox: Sandbox, in_home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(SECRET)
    for path in (in_home / "credentials", tmp_path / "file", Path("/etc/shadow"), Path("/etc/passwd-")):
        assert "No such file" in await sh(sandbox, f"cat {path}")
    home = await sh(sandbox, f"ls -A {Path.home()}")
    assert in_home.name not in home
    assert ".ssh" not in home
    assert await sh(sandbox, f"grep -rsl {SECRET} /home /root /tmp /run /var /etc /mnt /srv /workspace") == ""


async def test_it_finds_no_account_but_its_own(sandbox: Sandbox) -> None:
    names = await sh(sandbox, "cut -d: -f1 /etc/passwd | tr '\\n' ' '; id -u")
    assert names.split() == ["rc", "root", "1000"]


async def test_it_cannot_write_outside_its_own_directories(sandbox: Sandbox) -> None:
    said = await sh(
        sandbox,
        """for place in / /usr /usr/bin /bin /lib /etc /opt /run /var /dev/shm/../.. /proc /home; do
            touch "$place/rc-was-here" 2>/dev/null && echo "wrote $place"
        done; echo done""",
    )
    assert said == "done\n"


async def test_proc_shows_only_its_own_processes(sandbox: Sandbox) -> None:
    host = subprocess.Popen(["sleep", "1009"], env={"SECRET": SECRET, "PATH": os.environ["PATH"]})
    try:
        assert "1009" not in await sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -v grep")
        assert "No such" in await sh(sandbox, f"cat /proc/{host.pid}/environ || true")
        # Signal 0 asks whether one could: a test that fails must not kill the machine's processes.
        assert "No such process" in await sh(sandbox, f"env kill -0 {host.pid}")
    finally:
        host.kill()
        host.wait()


async def test_proc_gives_away_neither_the_environment_nor_the_root(sandbox: Sandbox) -> None:
    assert SECRET not in await sh(sandbox, "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    assert "No such file" in await sh(sandbox, f"ls /proc/1/root{Path(__file__)}")


# Opens and does not write: where it succeeds, the machine must not be changed by a test.
OPEN_FOR_WRITING = """
import os
for top, folders, files in os.walk({root!r}):
    folders[:] = [name for name in folders if not (top == "/proc" and (name.isdigit() or "self" in name))]
    for name in files:
        path = os.path.join(top, name)
        if path.startswith("/proc/pressure/"):
            continue
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        print(path)
"""


async def test_it_cannot_change_the_kernel(sandbox: Sandbox) -> None:
    """Above all where rc runs as root, whose number owns these files."""
    assert await python(sandbox, OPEN_FOR_WRITING.format(root="/proc")) == ""


async def test_it_cannot_mount_the_kernels_files_anew(sandbox: Sandbox) -> None:
    script = OPEN_FOR_WRITING.format(root="/workspace")
    for mount in ("-t proc none", "-t sysfs none", "-t cgroup2 none", "--bind /proc"):
        said = await sh(
            sandbox,
            f"""unshare -UrmnpCf sh -c '
            mount {mount} /workspace && python3 -I - <<"END"\n{script.replace("'", '"')}\nEND\n'""",
        )
        assert "/workspace/" not in said, f"{mount}: {said}"


async def test_it_has_no_privilege_and_gains_none(sandbox: Sandbox) -> None:
    status = dict(
        line.split(":\t", 1) for line in (await sh(sandbox, "cat /proc/self/status")).splitlines() if ":\t" in line
    )
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}
    said = await sh(sandbox, "mknod /tmp/disk b 254 0; chroot / true; mount -t tmpfs none /tmp; echo done")
    assert said.count("ermi") >= 2, said
    devices = await sh(sandbox, "find /dev -type b; ls /dev/mem /dev/kvm /dev/fuse 2>/dev/null; ls /sys 2>/dev/null")
    assert devices == ""


@pytest.fixture
def objects(in_home: Path) -> Path:
    """The user's git objects, which a task borrows."""
    made = in_home / "repository/.git/objects"
    made.mkdir(parents=True)
    (made / "pack").write_text("history")
    return made


async def test_borrowed_objects_cannot_be_changed(at: Place, objects: Path) -> None:
    sandbox = await at.create(binds=(objects,))
    assert await run(sandbox, "cat", f"{objects}/pack") == "history"
    attacks = [
        f"echo spoiled > {objects}/pack",
        f"rm -f {objects}/pack",
        f"chmod 777 {objects}/pack",
        f"mv {objects}/pack {objects}/other",
        f"touch {objects}/new",
        f"ln {objects}/pack /workspace/hard",
        f"python3 -c \"import os; os.truncate('{objects}/pack', 0)\"",
        f"exec 3<{objects}/pack; echo spoiled > /proc/self/fd/3",
        f"mount -o remount,rw {objects}",
        f"unshare -Urm sh -c 'mount -o remount,rw,bind {objects} {objects} && echo spoiled > {objects}/pack'",
        f"unshare -Urm sh -c 'umount -l {objects}; echo spoiled > {objects}/pack'",
        f"unshare -Urm sh -c 'mount --bind {objects} /mnt && echo spoiled > /mnt/pack'",
    ]
    for attack in attacks:
        said = await sh(sandbox, f"{attack}\necho code=$?")
        assert "code=0" not in said, f"{attack}: {said}"
        assert (objects / "pack").read_text() == "history", attack
        assert [each.name for each in objects.iterdir()] == ["pack"], attack
    # Nothing beside what was lent is there.
    assert "No such file" in await sh(sandbox, f"cat {objects.parents[2]}/credentials")


def listening(address: str) -> socket.socket:
    """A server of the host's."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


CONNECT = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect({address!r})
    print("connected")
except OSError as error:
    print(error.strerror)
"""


async def test_it_cannot_reach_the_daemons_socket(sandbox: Sandbox, in_home: Path) -> None:
    path = str(in_home / "daemon.sock")
    with listening(path):
        assert await python(sandbox, CONNECT.format(address=path)) == "No such file or directory\n"
        await sh(sandbox, f"ln -s {path} /workspace/link; ln -s {path} /run/rc/link")
        assert await python(sandbox, CONNECT.format(address="/run/rc/link")) == "No such file or directory\n"


async def test_it_cannot_reach_abstract_sockets_or_it_is_said(sandbox: Sandbox) -> None:
    address = f"\0rc-test-{ids.new_id()}"
    with listening(address):
        said = await python(sandbox, CONNECT.format(address=address))
    told = any("abstract unix sockets" in notice for notice in (await sandbox.info()).notices)
    assert said == ("connected\n" if told else "Operation not permitted\n")


async def test_it_cannot_reach_another_task(at: Place, sandbox: Sandbox) -> None:
    other = await at.create()
    stream = await other.open(["/bin/sh", "-c", "echo secret > /workspace/file; exec sleep 1010"])
    info = await other.info()
    directory = at.provider.root / info.external_id
    for path in (directory, at.provider.root, directory / "state/supervisor.sock"):
        assert "No such file" in await sh(sandbox, f"ls {path}")
    assert "1010" not in await sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -v grep")
    assert await sh(sandbox, "cat /workspace/file") == "cat: /workspace/file: No such file or directory\n"
    await stream.close()


async def test_a_supervisors_socket_that_leads_elsewhere_is_not_followed(
    at: Place, sandbox: Sandbox, in_home: Path
) -> None:
    path = str(in_home / "daemon.sock")
    with listening(path) as listener:
        listener.settimeout(0.3)
        await sh(sandbox, f"ln -sf {path} /run/rc/supervisor.sock")
        with pytest.raises(RemoteClaudeError):
            await sandbox.open(["true"])
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(listener.accept)
    await sandbox.stop()
    await sandbox.start()
    assert await sh(sandbox, "echo back") == "back\n"


async def test_a_supervisor_that_talks_without_end_is_hung_up_on(sandbox: Sandbox) -> None:
    script = """
import os, socket
os.unlink("/run/rc/supervisor.sock")
server = socket.socket(socket.AF_UNIX)
server.bind("/run/rc/supervisor.sock")
server.listen()
print("up", flush=True)
connection, _ = server.accept()
while True:
    connection.send(b"x" * 65536)
"""
    stream = await sandbox.open(["python3", "-I", "-c", script])
    assert await read_line(stream) == b"up\n"
    with pytest.raises(RemoteClaudeError, match="does not end its answer"):
        await sandbox.open(["true"])
    await stream.close()


@pytest.mark.parametrize(
    "trick", ["ln -sf {secret} log", "rm -f log; mkfifo log", "truncate -s 1T log", "rm -f log; mkdir log"]
)
async def test_its_log_leads_nowhere(sandbox: Sandbox, in_home: Path, trick: str) -> None:
    script = trick.replace("log", "/run/rc/sandbox.log").format(secret=in_home / "credentials")
    await sh(sandbox, script)
    said = await asyncio.wait_for(sandbox.logs(), 10)
    assert SECRET not in said
    assert len(said) < 20_000


async def test_the_users_keyring_stays_behind(at: Place) -> None:
    """Kernel keys are inherited like a working directory; a namespace does not hold them back."""
    numbers = KEYCTL.get(os.uname().machine)
    if numbers is None:
        pytest.skip(f"no system call numbers for {os.uname().machine}")
    keyctl, add_key = numbers
    script = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
joined = libc.syscall({keyctl}, {JOIN_SESSION_KEYRING}, None)
key = libc.syscall({add_key}, b"user", b"rc-test", b"{SECRET}", {len(SECRET)}, {SESSION_KEYRING})
if joined < 0 or key < 0:
    sys.exit("no keyring here")
import asyncio
from pathlib import Path
from rc_providers.local import LocalProvider
from rc_providers.base import SandboxSpec
made = LocalProvider(Path({str(at.provider.root)!r})).create(SandboxSpec("keys", {at.installation!r}, "bubblewrap"))
asyncio.run(made)
print(key)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if "no keyring here" in done.stderr:
        pytest.skip("this kernel gives no keyrings")
    assert done.returncode == 0, done.stderr
    sandbox = await at.provider.attach("keys")
    said = await python(
        sandbox,
        f"""
import ctypes
libc = ctypes.CDLL(None)
buffer = ctypes.create_string_buffer(1000)
for key in ({done.stdout.strip()}, libc.syscall({keyctl}, 10, {SESSION_KEYRING}, b"user", b"rc-test", 0)):
    print(libc.syscall({keyctl}, 11, key, buffer, 1000), buffer.value)
""",
    )
    assert SECRET not in said
    assert said.splitlines() == ["-1 b''", "-1 b''"]


async def test_what_it_leaves_on_disk_is_the_users_alone(at: Place, sandbox: Sandbox) -> None:
    await sh(sandbox, "umask 0; mkdir /workspace/open; touch /workspace/open/file; chmod 4777 /workspace/open/file")
    directory = at.provider.root / (await sandbox.info()).external_id
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_a_stream_that_floods_costs_no_memory_here(sandbox: Sandbox) -> None:
    stream = await sandbox.open(["/bin/sh", "-c", "cat /dev/zero"])
    assert len(await read_all(stream, 1 << 20)) >= 1 << 20
    await stream.close()


def test_the_keyring_numbers_are_this_machines() -> None:
    numbers = KEYCTL.get(os.uname().machine)
    if numbers is None:
        pytest.skip(f"no system call numbers for {os.uname().machine}")
    # KEYCTL_GET_KEYRING_ID of the session keyring: a number, or a refusal; never "no such call" where there are keys.
    found = ctypes.CDLL(None, use_errno=True).syscall(numbers[0], 0, SESSION_KEYRING, 1)
    assert found > 0 or ctypes.get_errno()
