"""Whom the processes of a container run as: never root unless it is asked for."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

from rc_protos import errors

NAME = "rc"
HOME = f"/home/{NAME}"
WORKSPACE = "/workspace"
# Of the agent, below the home.
STATE = ".rc-agent"
USER_ID = 1000


@dataclass(frozen=True)
class Account:
    """Numbers, home, and what /etc/passwd and /etc/group of the image lack for it."""

    user: int
    group: int
    home: str
    passwd: str = ""
    groups: str = ""

    @property
    def numbers(self) -> str:
        """As Docker takes it."""
        return f"{self.user}:{self.group}"


def resolve(wanted: str, passwd: str, groups: str) -> Account:
    """The account for a Docker USER (name or number, and a group after a colon); raises usage for an unknown name."""
    name, _, group_name = wanted.partition(":")
    entry = _find(passwd, name)
    if entry is None and not name.isdigit():
        raise errors.usage(f"the image has no user {name!r}", "give a number: -o user=1000")
    user = int(entry[2]) if entry else int(name)
    group = int(entry[3]) if entry else user
    if group_name:
        found = _find(groups, group_name)
        if found is None and not group_name.isdigit():
            raise errors.usage(f"the image has no group {group_name!r}", "give a number: -o user=1000:1000")
        group = int(found[2]) if found else int(group_name)
    if entry is not None:
        home = entry[5] if len(entry) > 5 else ""
        return Account(user, group, home if home.startswith("/") and home not in ("/", "/nonexistent") else HOME)
    line = f"{NAME}:x:{user}:{group}:{NAME}:{HOME}:/bin/sh\n"
    more = "" if _find(groups, str(group)) else f"{NAME}:x:{group}:\n"
    return Account(user, group, HOME, _with(passwd, line), _with(groups, more))


def own() -> str:
    """Who a sandbox is when its image does not say: the daemon's user, so that files shown to it can be read."""
    return f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{USER_ID}:{USER_ID}"


def seed(account: Account, directories: Sequence[str], *, files: bool) -> bytes:
    """A tar of what a new container needs: its user's directories, and the account itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in directories:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, account.user, account.group
            tar.addfile(entry)
        for name, text in (("etc/passwd", account.passwd), ("etc/group", account.groups)):
            if files and text:
                content = text.encode("utf-8", "surrogateescape")
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _find(text: str, wanted: str) -> list[str] | None:
    """The line of a name or number."""
    lines = (line.split(":") for line in text.splitlines())
    return next((parts for parts in lines if len(parts) >= 3 and wanted in (parts[0], parts[2])), None)


def _with(text: str, line: str) -> str:
    if not line:
        return ""
    return text + ("" if not text or text.endswith("\n") else "\n") + line
