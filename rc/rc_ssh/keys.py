"""The host key of an installation, and what makes ssh know it: files of our own, and one line in the user's."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

import asyncssh

from rc_protos import errors
from rc_protos.paths import paths


def host_key() -> asyncssh.SSHKey:
    """Made when it is first needed; readable by its user only."""
    place = _folder() / "host_key"
    if not place.exists():
        made = asyncssh.generate_private_key("ssh-ed25519", comment="rc")
        _write(place, made.export_private_key(), replace=False)
    return asyncssh.read_private_key(str(place))


def config() -> str:
    """What ssh has to know, for its configuration."""
    # Through a shell, and ssh replaces what begins with a percent sign.
    words = [sys.executable, "-P", "-m", "rc_cli.main", "ssh-proxy"]
    if home := os.environ.get("RC_HOME"):
        words = ["env", f"RC_HOME={os.path.abspath(home)}", *words]
    command = shlex.join(words).replace("%", "%%")
    known = str(_folder() / "known_hosts").replace("%", "%%")
    return (
        "# Tasks of rc as hosts: ssh rc-ID. Written by: rc ssh-config --install\n"
        "Host rc-*\n"
        f"    ProxyCommand {command} %n\n"
        f'    UserKnownHostsFile "{known}"\n'
        "    StrictHostKeyChecking yes\n"
    )


def install() -> tuple[Path, bool]:
    """Write our files and have the user's ssh configuration include them: (that file, whether it was changed)."""
    public = host_key().export_public_key().decode()
    _write(_folder() / "known_hosts", f"rc-* {public}".encode())
    ours = _folder() / "config"
    _write(ours, config().encode())
    return _include(ours)


def _include(ours: Path) -> tuple[Path, bool]:
    theirs = Path.home() / ".ssh" / "config"
    line = f'Include "{ours}"'
    try:
        theirs.parent.mkdir(mode=0o700, exist_ok=True)
        # A link into a folder of dot files stays one.
        target = theirs.resolve()
        before = target.read_bytes() if target.exists() else b""
        if line.encode() in before.splitlines():
            return theirs, False
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        # First of all: further down it would belong to the Host above it.
        _write(target, line.encode() + b"\n" + before, mode=mode)
    except OSError as error:
        raise errors.precondition(
            f"{theirs} cannot be written: {error.strerror}", f"add this as its first line: {line}"
        ) from None
    return theirs, True


def _folder() -> Path:
    place = paths().data / "ssh"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def _write(place: Path, data: bytes, *, mode: int = 0o600, replace: bool = True) -> None:
    """In one step; without `replace`, whoever was first wins."""
    number, temporary = tempfile.mkstemp(prefix=".rc-", dir=place.parent)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        os.fchmod(number, mode)
    try:
        if replace:
            os.replace(temporary, place)
        else:
            os.link(temporary, place)
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink(missing_ok=True)
