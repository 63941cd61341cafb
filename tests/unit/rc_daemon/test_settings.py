from __future__ import annotations

from pathlib import Path

import pytest

from rc_daemon.settings import Settings
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.paths import paths

NAME = "ANTHROPIC_API_KEY"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RC_HOME", str(tmp_path))
    paths().config.mkdir()
    return tmp_path


def credential(command: str) -> str:
    (paths().config / "config.toml").write_text(f"[credentials.{NAME}]\ncommand = {command}\n")
    return Settings(paths()).credentials((NAME, "OTHER"))[NAME]


def test_a_command_yields_a_credential(home: Path) -> None:
    assert credential('["printf", " key\\\\n"]') == "key"
    assert credential("'echo $((40 + 2))'") == "42"


@pytest.mark.parametrize(
    "command", ["'exit 3'", '["/no/such"]', "'printf s3cret; exit 1'", r"""'printf "s3cret\377"'""", "'true'"]
)
def test_a_command_that_yields_none_is_told_without_what_it_printed(home: Path, command: str) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        credential(command)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert NAME in caught.value.message
    assert "s3cret" not in caught.value.message
