"""`nas spaces`: the named spaces."""

from __future__ import annotations

from nas.cli import options


def spaces(json: options.Json = False) -> None:
    """List the spaces that `--space` knows by name, with the exact number of architectures.

    Example: nas spaces
    """
    from nas.cli.console import show_json, show_table
    from search_spaces import load_space, space_names

    loaded = [load_space(name) for name in space_names()]
    if json:
        show_json(
            [
                {
                    "name": s.name,
                    "genes": s.num_genes,
                    "architectures": s.size(),
                    "description": s.definition.description,
                }
                for s in loaded
            ]
        )
    else:
        rows = [(s.name, f"{s.size():.3g}", s.definition.description) for s in loaded]
        show_table("Spaces", ("name", "architectures", "what it is"), rows)
