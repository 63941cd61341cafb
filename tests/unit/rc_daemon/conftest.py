"""Both sockets of a daemon without tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.servers import Servers, serving


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    async with serving(monkeypatch) as running:
        yield running
