"""What a provider can and cannot do, from what its class declares: for `rc provider show` and docs/providers.md."""

from __future__ import annotations

from rc_protos.model import Ability
from rc_providers.base import Capability, Provider

LIMITS = ("cpus", "memory", "pids")


def abilities(kind: type[Provider]) -> tuple[Ability, ...]:
    """The same questions for every provider, in the same order."""
    limits = [option.name for option in kind.options if option.name in LIMITS]
    chosen = [", ".join(each for each in option.choices) for option in kind.options if option.name == "isolation"]
    return (
        Ability("named as", f"--on {kind.reference()}"),
        Ability("isolation", chosen[0] if chosen else "its own"),
        Ability("your repository", "borrowed, read-only" if Capability.BIND in kind.capabilities else "sent over"),
        Ability("the coding agent", "yours" if Capability.LOCAL in kind.capabilities else "brought or in the image"),
        Ability("limits", ", ".join(limits) or "none of its own"),
        Ability("host keys", "asked once" if overrides(kind, "add") else "none"),
        Ability("bill", "by the hour" if overrides(kind, "estimate") else "nothing"),
    )


def overrides(kind: type[Provider], method: str) -> bool:
    """Whether the provider has its own instead of the default."""
    return getattr(kind, method) is not getattr(Provider, method)


def summary(kind: type[Provider]) -> str:
    """The first line of what its class says of itself."""
    return (kind.__doc__ or "").strip().partition("\n")[0]
