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

from typing import Any

from rc_providers.contract import CHECKS


def pytest_generate_tests(metafunc: Any) -> None:
    """`metafunc`: a pytest.Metafunc; rc itself does not need pytest. One test for each check, named after it."""
    if "contract_check" in metafunc.fixturenames:
        metafunc.parametrize("contract_check", CHECKS, ids=[check.__name__ for check in CHECKS])
