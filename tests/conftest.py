"""Fixtures of the whole suite."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
# The example of a provider.
sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import hypothesis
import pytest
from support import engine
from support.failpoints import hit_log
from support.needs import pytest_runtest_setup

pytest_plugins = ["rc_providers.pytest_contract"]
__all__ = ["hit_log", "pytest_runtest_setup"]

# The machine may be busy with anything: no example has a deadline.
hypothesis.settings.register_profile("rc", deadline=None)
hypothesis.settings.load_profile("rc")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rounds N`: how often the chaos tests try; the long runs are the same code with more."""
    parser.addoption("--rounds", type=int, default=12, help="rounds of the kill and cut tests")
    parser.addoption("--hits", default="", help="a file that keeps which failpoint was hit in which test")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often to try."""
    return int(request.config.getoption("--rounds"))


def pytest_sessionfinish() -> None:
    """The engine that was started for the tests is stopped by its last user."""
    engine.release()
