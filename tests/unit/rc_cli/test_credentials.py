from __future__ import annotations

from pathlib import Path

import pytest

from rc_cli.credentials import KNOWN, present


def test_what_the_users_own_coding_agents_take_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RC_HOME", str(tmp_path))
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_API_KEY", "MINE_KEY", "MINE_URL", "OTHER_KEY"):
        monkeypatch.setenv(name, f"<{name}>")
    assert set(present()) == {"ANTHROPIC_API_KEY"}
    own = tmp_path / "config" / "coding-agents"
    own.mkdir(parents=True)
    (own / "broken.toml").write_text("credentials = [")
    (own / "wrong.toml").write_text("credentials = 'OTHER_KEY'")
    (own / "mine.toml").write_text('credentials = ["MINE_KEY", "ABSENT"]\nvariables = ["MINE_URL"]')
    assert present() == {name: f"<{name}>" for name in ("ANTHROPIC_API_KEY", "MINE_KEY", "MINE_URL")}
