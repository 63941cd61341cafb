from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from rc_protos import platform
from rc_protos.paths import paths


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RC_HOME", *(f"XDG_{kind}" for kind in ("DATA_HOME", "STATE_HOME", "CONFIG_HOME", "CACHE_HOME"))):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_one_variable_moves_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RC_HOME", str(tmp_path / "x"))
    found = paths()
    assert {place.parent for place in (found.runtime, found.data, found.config, found.cache, found.log)} == {
        tmp_path / "x"
    }
    assert found.grpc_socket.parent == found.json_socket.parent == found.lock_file.parent == found.runtime
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(not platform.LINUX, reason="elsewhere it is platformdirs itself")
@pytest.mark.parametrize("given", [False, True])
def test_the_light_way_names_what_platformdirs_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: bool
) -> None:
    if given:
        for kind in ("DATA_HOME", "STATE_HOME", "CONFIG_HOME", "CACHE_HOME", "RUNTIME_DIR"):
            monkeypatch.setenv(f"XDG_{kind}", str(tmp_path / kind))
    dirs, found = platformdirs.PlatformDirs("remote-claude", appauthor=False), paths()
    assert [found.data, found.config, found.cache, found.log] == [
        dirs.user_data_path,
        dirs.user_config_path,
        dirs.user_cache_path,
        dirs.user_log_path,
    ]
    # Without a session of systemd there is no runtime directory: it must not be one that others could make first.
    assert found.runtime == (dirs.user_runtime_path if given else dirs.user_state_path / "run")
