"""Repository in: the workspace of a sandbox made from the base, or from the last safe copy of the work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rc_daemon.links import SandboxLink
from rc_daemon.tasks.base import Base, pin_name
from rc_daemon.tasks.copy import SafeCopy
from rc_daemon.tasks.git import git
from rc_daemon.tasks.inside import put_archive, put_file, script
from rc_protos import errors
from rc_protos.model import Task

# Begins anew until it has come to its end once: a half-made workspace is never worked in.
PREPARE = r"""
set -eu
[ -e "$RC_STATE/prepared" ] && exit 0
cd "$RC_WORKSPACE"
command -v git >/dev/null || { echo "there is no git in the sandbox" >&2; exit 1; }
find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +
git init -q --object-format="$FORMAT" .
git symbolic-ref HEAD "refs/heads/$BRANCH"
if [ -n "$ALTERNATES" ]; then printf '%s\n' "$ALTERNATES" > .git/objects/info/alternates; fi
if [ -n "$SHALLOW" ]; then printf '%s\n' "$SHALLOW" > .git/shallow; fi
if [ -n "$NAME" ]; then git config user.name "$NAME"; fi
if [ -n "$EMAIL" ]; then git config user.email "$EMAIL"; fi
git config user.name >/dev/null || git config user.name "Remote Claude"
git config user.email >/dev/null || git config user.email "rc@localhost"
# No ref of its own: the pin lies below the name that the base has here.
if [ -e "$RC_STATE/base.bundle" ]; then git fetch -q "$RC_STATE/base.bundle" "$PIN"; fi
if [ -e "$RC_STATE/work.bundle" ]; then git fetch -q "$RC_STATE/work.bundle" '+refs/rc/*:refs/rc/*'; fi
git update-ref refs/rc/base "$BASE"
git update-ref "refs/heads/$BRANCH" "$START"
git reset -q --hard
if [ -n "$SAVED" ]; then
    git read-tree --reset -u "$SAVED"
    git reset -q
fi
rm -f "$RC_STATE/base.bundle" "$RC_STATE/work.bundle"
: > "$RC_STATE/prepared"
"""


async def prepare(link: SandboxLink, task: Task, base: Base, copy: SafeCopy, home: str, *, borrows: bool) -> str:
    """Make the workspace; the commit its branch starts at. `borrows`: the sandbox sees the host's objects."""
    saved = await copy.newest()
    assert link.hello is not None
    state = link.hello.state_directory.decode()
    with tempfile.TemporaryDirectory(prefix="rc-bundle-") as folder:
        if not borrows:
            path = Path(folder) / "base"
            await git(base.path, "bundle", "create", "-q", str(path), pin_name(task.id))
            await put_file(link, path, f"{state}/base.bundle")
        if saved is not None:
            path = Path(folder) / "work"
            await copy.bundle(path)
            await put_file(link, path, f"{state}/work.bundle")
    start = saved.head if saved else base.commit
    done = await script(
        link,
        PREPARE,
        {
            "BASE": base.commit,
            "PIN": pin_name(task.id),
            "START": start,
            "SAVED": saved.save if saved else "",
            "BRANCH": task.branch,
            "FORMAT": base.object_format,
            "ALTERNATES": "\n".join(base.objects) if borrows else "",
            "SHALLOW": "\n".join(base.shallow),
            "NAME": base.user_name,
            "EMAIL": base.user_email,
        },
        name="prepare",
    )
    if done.code:
        raise errors.internal(f"the workspace cannot be prepared: {done.why}", f"see: rc events {task.name}")
    if copy.transcript.exists():
        await put_archive(link, copy.transcript, home)
    return start
