"""`nas mixers`: the parts that a space can choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.cli import options

if TYPE_CHECKING:
    from search_spaces.family import Family


def mixers(json: options.Json = False) -> None:
    """List the families of parts with their options and papers.

    A space's file can name mixer families one by one or by their group.

    Example: nas mixers
    """
    from nas.cli.console import show_json, show_table
    from search_spaces.family import MIXERS
    from search_spaces.layouts import LAYOUTS
    from search_spaces.parts import REGISTRIES

    registries = sorted(REGISTRIES.values(), key=lambda registry: registry is not MIXERS)
    if json:
        show_json(
            [
                {
                    "role": registry.kind,
                    "group": family.group if registry is MIXERS else None,
                    "name": family.name,
                    "summary": family.summary,
                    "options": {name: list(values) for name, values in family.choices().items()},
                    "paper": family.paper,
                }
                for registry in registries
                for family in registry
            ]
            + [
                {
                    "role": LAYOUTS.kind,
                    "group": None,
                    "name": layout.name,
                    "summary": layout.summary,
                    "options": {},
                    "paper": layout.paper,
                }
                for layout in LAYOUTS
            ]
        )
        return
    tables: dict[str, list[tuple[str, ...]]] = {}
    for registry in registries:
        for family in registry:
            group = f", group {family.group}" if registry is MIXERS else ""
            tables.setdefault(f"{registry.kind.capitalize()}{group}", []).append(_row(family))
    layouts = [(each.name, "", f"{each.summary}\n{each.paper}") for each in LAYOUTS]
    tables[LAYOUTS.kind.capitalize()] = list[tuple[str, ...]](layouts)
    for title, rows in tables.items():
        show_table(title, ("name", "options", "what it is"), rows)


def _row(family: Family) -> tuple[str, str, str]:
    choices = family.choices().items()
    options = "\n".join(f"{name}: {', '.join(map(str, values))}" for name, values in choices)
    return family.name, options, f"{family.summary}\n{family.paper}".strip()
