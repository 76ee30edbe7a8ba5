"""`nas mixers`: the parts that a space can choose from."""

from __future__ import annotations

from nas.cli import options


def mixers(json: options.Json = False) -> None:
    """List the families of parts with their options and papers.

    Example: nas mixers
    """
    import search_spaces.definition  # noqa: F401  (registers every family)
    from nas.cli.console import show_json, show_table
    from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, HEADS, MIXERS, STEMS

    registries = (MIXERS, CHANNEL_MIXERS, STEMS, DOWNSAMPLINGS, HEADS)
    if json:
        show_json(
            [
                {
                    "role": registry.kind,
                    "name": family.name,
                    "summary": family.summary,
                    "options": {name: list(values) for name, values in family.choices().items()},
                    "paper": family.paper,
                }
                for registry in registries
                for family in registry
            ]
        )
        return
    for registry in registries:
        rows = [
            (
                family.name,
                "\n".join(
                    f"{name}: {', '.join(map(str, values))}"
                    for name, values in family.choices().items()
                ),
                f"{family.summary}\n{family.paper}".strip(),
            )
            for family in registry
        ]
        show_table(registry.kind.capitalize(), ("name", "options", "what it is"), rows)
