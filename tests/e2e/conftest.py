"""A real daemon for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.daemon import DaemonProcess, daemon_home


@pytest.fixture
async def home(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DaemonProcess]:
    """A home of its own that RC_HOME names, no daemon in it yet."""
    async with daemon_home() as made:
        monkeypatch.setenv("RC_HOME", str(made.home))
        yield made
        # pytest shows it where the test failed.
        print(made.log()[-20000:])


@pytest.fixture
def daemon(home: DaemonProcess) -> DaemonProcess:
    """A running daemon."""
    home.start()
    return home
