"""docs/providers.md: what each provider can and cannot do, from what its class declares."""

from __future__ import annotations

from rc_protos.version import VERSION
from rc_providers import registry
from rc_providers.abilities import abilities, summary
from rc_providers.base import Provider
from rc_providers.contract import CHECKS, promise
from tables import MADE, markdown


def page() -> str:
    """The matrix, then each provider's options."""
    kinds = [registry.kind(name) for name in registry.names()]
    told = [abilities(kind) for kind in kinds]
    rows = [[row[0].what, *(each.how for each in row)] for row in zip(*told, strict=True)]
    return (
        f"{MADE}# Providers\n\n"
        "`rc run --on PROVIDER` says where a task runs, `-o NAME=VALUE` how. `rc provider ls` and `rc provider show NAME`\n"
        "tell the same of the providers that are installed, plug-ins included.\n\n"
        + markdown(["", *(f"`{kind.name}`" for kind in kinds)], rows)
        + "\nEach keeps the contract, which the tests and `rc provider verify PROVIDER` hold it to:\n\n"
        + "".join(f"- {promise(check)}\n" for check in CHECKS)
        + "\nA provider of your own is one class: [example_provider.py](example_provider.py) is a whole one. A package\n"
        "with an entry point in `remote_claude.providers` brings it, and `rc_providers.pytest_contract` is a pytest\n"
        "plug-in that runs the contract against it.\n" + "".join(options(kind) for kind in kinds)
    )


def options(kind: type[Provider]) -> str:
    """One provider's section."""
    rows = [
        [
            f"`{option.name}`",
            code(str(option.default).replace(VERSION, "VERSION")),
            option.help,
            ", ".join(map(code, option.choices)),
        ]
        for option in kind.options
    ]
    table = markdown(["option", "default", "what", "one of"], rows) if rows else "It has no options.\n"
    return f"\n## {kind.name}\n\n{summary(kind)}\n\n{table}"


def code(text: str) -> str:
    """As code, if there is any."""
    return f"`{text}`" if text else ""
