"""The directories of an installation as plain text, for the commands that import nothing; see rc_protos.paths."""

from __future__ import annotations

import os
import sys

APP = "remote-claude"
JSON_SOCKET = "json.sock"


def roots() -> tuple[str, str, str, str, str]:
    """Runtime, data, config, cache and log directory; none is created here."""
    home = os.environ.get("RC_HOME")
    if home:
        return f"{home}/run", f"{home}/data", f"{home}/config", f"{home}/cache", f"{home}/log"
    return _xdg() if sys.platform == "linux" else _native()


def _xdg() -> tuple[str, str, str, str, str]:
    # The same places platformdirs names, without its 5 ms of import.
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    state = os.environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    cache = os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    running = f"{runtime}/{APP}" if runtime else f"{state}/{APP}/run"
    return running, f"{data}/{APP}", f"{config}/{APP}", f"{cache}/{APP}", f"{state}/{APP}/log"


def _native() -> tuple[str, str, str, str, str]:
    import platformdirs

    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return dirs.user_runtime_dir, dirs.user_data_dir, dirs.user_config_dir, dirs.user_cache_dir, dirs.user_log_dir
