"""A real agent for each test that wants one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from support.agent import AgentProcess, Client, connected, running_agent


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    with running_agent() as process:
        yield process


@pytest.fixture
async def client(agent: AgentProcess) -> AsyncIterator[Client]:
    async with connected(agent) as it:
        yield it
