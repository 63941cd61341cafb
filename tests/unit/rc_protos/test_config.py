from __future__ import annotations

from pathlib import Path

import pytest

from rc_protos import config
from rc_protos.config import KEYS, PROJECT_FILE
from rc_protos.errors import ErrorCode, RemoteClaudeError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "system.toml")
    (tmp_path / "home/config/config.d").mkdir(parents=True)
    return tmp_path / "home/config"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "p/deep/er").mkdir(parents=True)
    return tmp_path / "p"


def usage(directory: str = "", environment: dict[str, str] | None = None) -> RemoteClaudeError:
    with pytest.raises(RemoteClaudeError) as caught:
        config.load(directory, environment or {})
    assert caught.value.code is ErrorCode.USAGE
    return caught.value


def test_each_place_overrides_the_one_before_and_is_named(tmp_path: Path, home: Path, project: Path) -> None:
    places = [
        (tmp_path / "system.toml", "timeout = 1"),
        (home / "config.toml", "timeout = 2"),
        (home / "config.d/a.toml", "timeout = 3"),
        (home / "config.d/b.toml", "timeout = 4"),
        (project / PROJECT_FILE, "timeout = 5"),
    ]
    inside = str(project / "deep/er")
    assert config.load(inside, {}).origins == {}
    for number, (path, text) in enumerate(places, 1):
        path.write_text(text)
        merged = config.load(inside, {})
        assert (merged["timeout"], merged.origins["timeout"]) == (number, str(path))
    merged = config.load(inside, {"RC_TIMEOUT": "6"})
    assert (merged["timeout"], merged.origins["timeout"]) == (6, "RC_TIMEOUT")
    assert config.load("", {})["timeout"] == 4


def test_the_nearest_project_file_counts_alone(project: Path) -> None:
    (project / PROJECT_FILE).write_text('agent = "far"\nmodel = "m"')
    (project / "deep" / PROJECT_FILE).write_text('agent = "near"')
    merged = config.load(str(project / "deep/er"), {})
    assert (merged["agent"], merged["model"]) == ("near", "")


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.trusted] + ["credentials"])
def test_a_project_file_cannot_set_what_is_the_users(project: Path, name: str) -> None:
    kind = KEYS[name].default if name in KEYS else None
    value = {"credentials": '{ A = { command = ["id"] } }'}.get(name, repr(kind).replace("'", '"'))
    (project / PROJECT_FILE).write_text(f"{name} = {value}")
    error = usage(str(project))
    assert error.message.startswith(f"{project / PROJECT_FILE}: {name} is not taken from a project's file")
    assert "config.toml" in error.hint


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("agnet = 'x'", "there is no setting 'agnet'", "did you mean agent?"),
        ("[idle]\nsandbx = 1", "there is no setting 'idle.sandbx'", "did you mean idle.sandbox?"),
        ("qqqqqqqqqq = 1", "there is no setting", "there are: agent, "),
        ("timeout = '5'", "timeout must be a whole number, not '5'", ""),
        ("timeout = true", "timeout must be a whole number, not True", ""),
        ("timeout = 1.5", "timeout must be a whole number", ""),
        ("agent = 1", "agent must be text, not 1", ""),
        ("mode = 'yolo'", "mode cannot be 'yolo'", "it takes: "),
        ("timeout = ", "is not valid TOML", "correct it, or move it away"),
        ("[credentials]\nK = 'sk-secret'", "credentials.K must name a command or a keyring entry", "such as: K ="),
        ("[credentials.K]\ncommand = ['a']\nkeyring = 'b'", "credentials.K must name a command", "such as: K ="),
        ("credentials = 1", "credentials must be a table", ""),
    ],
)
def test_a_mistake_is_told_with_file_key_and_remedy(home: Path, text: str, said: str, hint: str) -> None:
    (home / "config.toml").write_text(text)
    error = usage()
    assert error.message.startswith(str(home / "config.toml"))
    assert said in error.message
    assert "sk-secret" not in error.message
    assert error.hint.startswith(hint)


def test_a_file_that_is_no_text_is_told(home: Path) -> None:
    (home / "config.toml").write_bytes(b"\xff\xfe")
    assert "is not text in UTF-8" in usage().message


def test_a_variable_is_checked_too() -> None:
    assert config.load("", {"RC_LIMIT_RUNNING": "3"})["limit.running"] == 3
    assert (
        "the variable RC_LIMIT_RUNNING: limit.running must be a whole number, not 'x'"
        in usage(environment={"RC_LIMIT_RUNNING": "x"}).message
    )


def test_set_writes_only_rcs_own_file_and_keeps_the_rest(home: Path) -> None:
    (home / "config.toml").write_text("# mine\ntimeout = 1\n")
    config.write("timeout", "7")
    config.write("idle.sandbox", "9")
    value, path = config.write("idle.coding_agent", "8")
    assert path == home / "config.d/rc.toml"
    assert (value.key, value.origin) == ("idle.coding_agent", str(path))
    assert (home / "config.toml").read_text() == "# mine\ntimeout = 1\n"
    merged = config.load("", {})
    assert [merged[key] for key in ("timeout", "idle.sandbox", "idle.coding_agent")] == [7, 9, 8]
    assert [entry.name for entry in path.parent.iterdir()] == ["rc.toml"]


def test_set_says_where_credentials_are_written(home: Path) -> None:
    with pytest.raises(RemoteClaudeError, match="does not write credentials") as error:
        config.write("credentials.K", "sk-secret")
    assert str(home / "config.toml") in error.value.hint


def test_a_value_that_is_wrong_is_not_written(home: Path) -> None:
    for name, text in (("timeout", "soon"), ("nosuch", "1"), ("mode", "yolo")):
        with pytest.raises(RemoteClaudeError):
            config.write(name, text)
    assert not (home / "config.d/rc.toml").exists()


def test_every_setting_is_shown_with_its_origin(home: Path) -> None:
    (home / "config.toml").write_text('agent = "demo"\n[credentials]\nK = { keyring = "s/u" }\n')
    shown = {value.key: value for value in config.load("", {}).values()}
    assert shown.keys() == {*KEYS, "credentials.K"}
    assert (shown["agent"].value, shown["agent"].origin) == ('"demo"', str(home / "config.toml"))
    assert shown["timeout"].origin == "default"


def test_every_default_passes_its_own_check() -> None:
    for key in KEYS.values():
        assert key.check(key.default, "here") == key.default
