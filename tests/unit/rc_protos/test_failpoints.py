from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rc_daemon.tasks.actions import Action, Wait
from rc_protos.failpoints import FAILPOINTS, failpoint

ROOT = Path(__file__).resolve().parents[3]
CODE = """
from rc_protos.failpoints import failpoint
for name in ["task.create.before_commit", "task.create.after_commit"] * 4:
    failpoint(name)
    print(name, flush=True)
"""


def run(armed: str, log: Path) -> subprocess.CompletedProcess[str]:
    environment = {"RC_FAILPOINT": armed, "RC_FAILPOINT_LOG": str(log), "PYTHONPATH": str(ROOT / "protos")}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("armed", "passed"), [("task.create.after_commit", 1), ("task.create.after_commit:3", 5)])
def test_it_kills_at_its_place_and_hit_and_leaves_word(tmp_path: Path, armed: str, passed: int) -> None:
    done = run(armed, tmp_path / "log")
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.splitlines()) == passed
    assert (tmp_path / "log").read_text() == "task.create.after_commit\n"


def test_what_is_not_armed_goes_on(tmp_path: Path) -> None:
    done = run("task.create.after_commit:5", tmp_path / "log")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 8)
    assert not (tmp_path / "log").exists()


def test_a_name_that_is_not_declared_is_a_defect() -> None:
    with pytest.raises(KeyError, match="not declared"):
        failpoint("no.such.place")


def test_every_declared_place_stands_in_the_code_and_the_other_way_round() -> None:
    used = set()
    for folder in ("agent", "daemon", "rc", "providers"):
        for path in (ROOT / folder).rglob("*.py"):
            used |= set(re.findall(r'failpoint\(f?"([^"]+)"\)', path.read_text()))
    # `Wait` is nothing to carry out.
    actions = [action.__name__ for action in Action.__subclasses__() if action is not Wait]
    of_actions = {name.replace("{name}", action) for name in used if "{name}" in name for action in actions}
    assert {name for name in used if "{" not in name} | of_actions == FAILPOINTS.keys()


def test_each_was_hit_in_a_test_that_exists() -> None:
    page = (ROOT / "docs/chaos/failpoints.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| .* \| (.+) \|$", page, re.MULTILINE))
    assert set(rows) == set(FAILPOINTS)
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for names in rows.values() for name in names.split(", ") if f"def {name}(" not in tests] == []
