"""Fixtures of the whole suite."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from support.needs import pytest_runtest_setup

__all__ = ["pytest_runtest_setup"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rounds N`: how often the chaos tests try; the long runs are the same code with more."""
    parser.addoption("--rounds", type=int, default=12, help="rounds of the kill and cut tests")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often to try."""
    return int(request.config.getoption("--rounds"))
