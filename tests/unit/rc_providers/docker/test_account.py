"""Whom a container's processes run as."""

from __future__ import annotations

import pytest

from rc_protos.errors import RemoteClaudeError
from rc_providers.docker.account import resolve

PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh"
)
GROUPS = "root:x:0:\nnode:x:1000:\nstaff:x:50:\n"


@pytest.mark.parametrize("wanted", ["node", "1000", "1000:1000", "node:node"])
def test_a_user_of_the_image(wanted: str) -> None:
    account = resolve(wanted, PASSWD, GROUPS)
    assert (account.numbers, account.home, account.passwd) == ("1000:1000", "/home/node", "")


def test_a_user_the_image_does_not_know_gets_an_entry() -> None:
    account = resolve("1234:50", PASSWD, GROUPS)
    assert (account.numbers, account.home) == ("1234:50", "/home/rc")
    assert account.passwd == f"{PASSWD}\nrc:x:1234:50:rc:/home/rc:/bin/sh\n"
    assert account.groups == ""


def test_an_image_without_accounts() -> None:
    account = resolve("1000", "", "")
    assert account.passwd == "rc:x:1000:1000:rc:/home/rc:/bin/sh\n"
    assert account.groups == "rc:x:1000:\n"


def test_a_user_without_a_home_gets_one() -> None:
    assert resolve("nobody", PASSWD, GROUPS).home == "/home/rc"


@pytest.mark.parametrize("wanted", ["nosuch", "node:nosuch"])
def test_names_that_are_not_there(wanted: str) -> None:
    with pytest.raises(RemoteClaudeError, match="nosuch"):
        resolve(wanted, PASSWD, GROUPS)
