"""config show|get|set."""

from __future__ import annotations

import json
import os
import sys

from rc_cli.loop import with_client
from rc_cli.view.text import table
from rc_protos import config


def show(*, origin: bool, as_json: bool) -> int:
    """Print what holds in this directory."""
    values = with_client(lambda client: client.get_config(os.getcwd(), _variables()))
    if as_json:
        rows = [{"key": each.key, "value": json.loads(each.value), "origin": each.origin} for each in values]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    heads = ("SETTING", "VALUE", "ORIGIN" if origin else "MEANING")
    cells = [(each.key, each.value, each.origin if origin else each.help) for each in values]
    sys.stdout.write(table(heads, cells))
    return 0


def get(key: str) -> int:
    """Print one value."""
    name = config.key(key).name
    values = with_client(lambda client: client.get_config(os.getcwd(), _variables()))
    found = next(json.loads(each.value) for each in values if each.key == name)
    sys.stdout.write(f"{found if isinstance(found, str) else json.dumps(found)}\n")
    return 0


def put(key: str, value: str) -> int:
    """Write one value."""
    written, file = with_client(lambda client: client.set_config(key, value))
    sys.stderr.write(f"{written.key} = {written.value} in {file}\n")
    if "." in written.key:
        sys.stderr.write("    it takes effect with: rc daemon restart\n")
    return 0


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RC_")}
