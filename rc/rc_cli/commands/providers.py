"""provider ls|show|verify|add|rm."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from typing import TYPE_CHECKING, Any

from rc_cli.commands.run import pair
from rc_cli.loop import with_client
from rc_cli.view.text import clean, one_line, paint, table
from rc_protos.errors import not_found
from rc_protos.model import Provider

if TYPE_CHECKING:
    from rc_client.client import DaemonClient


def ls(*, as_json: bool) -> int:
    """Print all."""
    found = with_client(lambda client: client.list_providers())
    if as_json:
        sys.stdout.write(json.dumps([_document(each) for each in found], indent=2) + "\n")
        return 0
    rows = [(each.name, each.reference and f"--on {each.reference}", each.problem or each.summary) for each in found]
    sys.stdout.write(table(("PROVIDER", "USE", "WHAT"), rows))
    return 0


def show(name: str, *, as_json: bool) -> int:
    """Print one."""
    found = with_client(lambda client: client.list_providers())
    one = next((each for each in found if each.name == name.partition(":")[0]), None)
    if one is None:
        names = [each.name for each in found]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
        raise not_found(f"there is no provider {name!r}", hint)
    if as_json:
        sys.stdout.write(json.dumps(_document(one), indent=2) + "\n")
        return 0
    lines = [("provider", one.name), ("what", one.summary), ("problem", one.problem)]
    lines += [(each.what, each.how) for each in one.abilities]
    sys.stdout.write("".join(f"{what:>17}  {clean(text)}\n" for what, text in lines if text))
    for option in _document(one)["options"]:
        choices = f": {', '.join(option['choices'])}" if option["choices"] else ""
        default = f" (else {option['default']})" if option["default"] else ""
        sys.stdout.write(f"{'-o ' + option['name']:>17}  {clean(option['help'] + choices + default)}\n")
    return 0


def _document(provider: Provider) -> dict[str, Any]:
    return dataclasses.asdict(provider) | {"options": [json.loads(each) for each in provider.options]}


def verify(place: str, options: list[str], *, live: bool, max_cost: float) -> int:
    """Print each promise as it is known to hold or not; 1 if one does not."""
    chosen = dict(pair(each) for each in options)

    async def whole(client: DaemonClient) -> int:
        broken = 0
        async for promise, problem in client.verify_provider(place, options=chosen, live=live, max_cost=max_cost):
            broken += bool(problem)
            word = paint("broken", "31") if problem else paint("holds ", "32")
            sys.stdout.write(f"{word}  {clean(promise)}\n" + (f"        {one_line(problem)}\n" if problem else ""))
            sys.stdout.flush()
        return 1 if broken else 0

    return with_client(whole)


def add(place: str, accept_key: str) -> int:
    """Say what there is to know of tasks there."""
    notices = with_client(lambda client: client.add_provider(place, accept_key))
    for line in (f"tasks can run on {place}", *notices):
        sys.stdout.write(f"{clean(line)}\n")
    return 0


def rm(place: str) -> int:
    """Forget; what runs there goes on."""
    with_client(lambda client: client.remove_provider(place))
    return 0
