"""Work out: what is in a sandbox's workspace becomes a commit there, a bundle, and part of the safe copy here."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rc_daemon.links import SandboxLink
from rc_daemon.tasks.copy import SafeCopy, Saved
from rc_daemon.tasks.inside import fetch_archive, fetch_file, script
from rc_protos import errors
from rc_protos.failpoints import failpoint

# An index of its own: the coding agent's is never touched. HAVE: commits that the host has already.
SAVE = r"""
set -eu
cd "$RC_WORKSPACE"
export GIT_INDEX_FILE="$RC_STATE/save.index"
git="git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c commit.gpgSign=false"
head=$($git rev-parse -q --verify 'HEAD^{commit}') || { echo "HEAD of the workspace is no commit" >&2; exit 1; }
if [ ! -e "$GIT_INDEX_FILE" ]; then $git read-tree "$head"; fi
$git add -A -- . 2>"$RC_STATE/save.err" || $git add -A --ignore-errors -- . 2>>"$RC_STATE/save.err" || true
tree=$($git write-tree)
previous=$($git rev-parse -q --verify refs/rc/save) || previous=
if [ -n "$previous" ] && [ "$tree" = "$($git rev-parse "$previous^{tree}")" ] \
    && [ "$head" = "$($git rev-parse -q --verify refs/rc/head)" ] && [ "$previous" = "$SAVED" ]; then
    echo "same $head $previous"
    exit 0
fi
export GIT_AUTHOR_NAME=rc GIT_AUTHOR_EMAIL=rc@localhost GIT_COMMITTER_NAME=rc GIT_COMMITTER_EMAIL=rc@localhost
save=$($git commit-tree "$tree" -p "$head" ${previous:+-p "$previous"} -m "safe copy")
$git update-ref refs/rc/save "$save"
$git update-ref refs/rc/head "$head"
set -- refs/rc/save
for commit in $HAVE; do
    if $git cat-file -e "$commit^{commit}" 2>/dev/null; then set -- "$@" "^$commit"; fi
done
$git bundle create -q "$RC_STATE/save.bundle" "$@"
echo "saved $head $save"
"""


async def save(link: SandboxLink, copy: SafeCopy, home: str, transcripts: tuple[str, ...]) -> tuple[Saved, bool]:
    """Bring the safe copy up to date: (what it is now, whether anything was new).

    Raises internal when the workspace is no repository any more; the last copy stays as it was.
    """
    known = await copy.newest()
    have = [copy.base.commit, *([known.head, known.save] if known else [])]
    environment = {"HAVE": " ".join(have), "SAVED": known.save if known else ""}
    done = await script(link, SAVE, environment, name="save")
    words = done.out.split()
    if done.code or len(words) != 3 or words[0] not in ("same", "saved"):
        raise errors.internal(f"the workspace cannot be saved: {done.why}", "the last safe copy is kept")
    saved = Saved(words[1], words[2])
    if words[0] == "saved":
        assert link.hello is not None
        with tempfile.TemporaryDirectory(prefix="rc-save-") as folder:
            bundle = Path(folder) / "save.bundle"
            await fetch_file(link, f"{link.hello.state_directory.decode()}/save.bundle", bundle)
            failpoint("task.SaveWork.bundled")
            try:
                await copy.take(bundle, saved)
            except ValueError as error:
                raise errors.internal(f"the workspace cannot be saved: {error}", "the last copy is kept") from None
            failpoint("task.SaveWork.taken")
    if transcripts:
        await fetch_archive(link, home, transcripts, copy.transcript)
    return saved, words[0] == "saved"
