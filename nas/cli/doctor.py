"""`nas doctor`: what is installed, what was found, what is missing."""

from __future__ import annotations

from typing import Any

from nas.cli import options

UNDESCRIBED = "none: `nas hardware add` takes a file that describes it"


def doctor(json: options.Json = False) -> None:
    """Print versions, devices, missing extras and whether folders can be written to.

    Example: nas doctor
    """
    from nas.cli.console import show_json, show_lines
    from nas.commands.doctor import examination

    found = examination()
    if json:
        show_json(found)
    else:
        show_lines(lines(found))


def lines(found: dict[str, Any]) -> list[str]:
    """What was found, for a person."""
    packages = found["environment"]["packages"]
    return [
        f"Python {found['environment']['python']} on {found['environment']['platform']}",
        *("", "Packages"),
        *(f"  {name} {version or 'MISSING'}" for name, version in packages.items()),
        *("", "Devices"),
        *(f"  {device}: {_facts(facts)}" for device, facts in found["devices"].items()),
        *("", "Extras"),
        *(_extras(found["missing_extras"]) or ["  all installed"]),
        *("", "Folders"),
        *(
            f"  {folder}: {'writable' if writable else 'NOT WRITABLE'}"
            for folder, writable in found["folders"].items()
        ),
    ]


def _facts(facts: dict[str, Any]) -> str:
    return ", ".join(
        f"{fact.replace('_', ' ')} {UNDESCRIBED if value is None else value}"
        for fact, value in facts.items()
    )


def _extras(missing: dict[str, list[str]]) -> list[str]:
    return [
        f"  {extra}: missing {', '.join(packages)}; "
        f"install with `.venv/bin/pip install -c constraints.txt -e '.[{extra}]'`"
        for extra, packages in missing.items()
    ]
