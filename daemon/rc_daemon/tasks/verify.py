"""Runs the contract against a real provider; whatever is made is destroyed, by the next daemon if this one dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from rc_daemon.tasks import journal
from rc_daemon.tasks.create import check_options
from rc_daemon.tasks.parts import Parts
from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_providers.base import SandboxSpec
from rc_providers.contract import CHECKS, Check, Trial, promise

# Of one check: an image may have to be pulled.
CHECK_SECONDS = 600.0
NOTHING_LEFT = "Nothing is left behind"


@dataclass(frozen=True)
class Verdict:
    """One promise, and what is wrong with it; empty: it holds."""

    promise: str
    problem: str = ""


async def verify(
    parts: Parts, reference: str, *, options: Mapping[str, str], live: bool, max_cost: float
) -> AsyncGenerator[Verdict, None]:
    """A verdict on each promise as it comes; raises precondition where it would cost more than is allowed."""
    trial = _Verification(parts, reference, options)
    check_options(trial.provider, options)
    await trial.provider.check("")
    await _affordable(trial, reference, live=live, max_cost=max_cost)
    left = []
    for check in CHECKS:
        try:
            problem = await _problem(check, trial)
        finally:
            # One at a time: what a check looks for is its own, and what it costs ends with it.
            left.append(await _problem(_clean, trial))
        yield Verdict(promise(check), problem)
    yield Verdict(NOTHING_LEFT, next(filter(None, left), ""))


class _Verification(Trial):
    """A trial among a person's own sandboxes: each has its destroy intent recorded before it is made."""

    def __init__(self, parts: Parts, reference: str, options: Mapping[str, str]) -> None:
        super().__init__(parts.provider(reference), parts.installation)
        self._parts, self._reference, self._options = parts, reference, options

    def spec(self, tag: str = "", **more: Any) -> SandboxSpec:
        return super().spec(tag, options=self._options, **more)

    async def intend(self, tag: str) -> None:
        intent = {"task": "", "provider": self._reference}
        await self._parts.store.transact(lambda tx: tx.put_doc(journal.DESTROY, tag, intent))

    async def clean(self) -> None:
        tags = list(self.tags)
        await super().clean()
        for tag in tags:
            await self._parts.store.transact(lambda tx, tag=tag: tx.delete_doc(journal.DESTROY, tag))  # type: ignore[misc]


async def _clean(trial: Trial) -> None:
    await trial.clean()


async def _problem(check: Check, trial: Trial) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check(trial)
    except RemoteClaudeError as error:
        return error.message
    except TimeoutError:
        return "it took too long"
    except Exception as error:
        # A plug-in's defect is what is looked for here.
        return (f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)).strip()
    return ""


async def _affordable(trial: Trial, reference: str, *, live: bool, max_cost: float) -> None:
    """A sandbox of each check, for an hour at most."""
    price = await trial.provider.estimate(trial.spec()) * len(CHECKS)
    if price > 0 and not live:
        raise errors.precondition(
            f"{reference} costs money: this may cost up to {price:.2f} USD",
            f"run: rc provider verify {reference} --live --max-cost {price:.2f}",
        )
    if price > max_cost:
        raise errors.precondition(f"this may cost up to {price:.2f} USD, {max_cost:.2f} are allowed", "see --max-cost")
