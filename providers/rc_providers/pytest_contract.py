"""The contract as a pytest plug-in: a test with an argument `contract_check` runs once for each promise.

pytest_plugins = ["rc_providers.pytest_contract"]        # in conftest.py; needs pytest-asyncio

async def test_contract(contract_check, tmp_path):
    trial = Trial(MyProvider(tmp_path), "test")
    try:
        await contract_check(trial)
    finally:
        await trial.clean()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rc_providers.contract import CHECKS

if TYPE_CHECKING:
    import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check, named after it."""
    if "contract_check" in metafunc.fixturenames:
        metafunc.parametrize("contract_check", CHECKS, ids=[check.__name__ for check in CHECKS])
