"""`nas mixers`: the parts that a space can choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli import options


def mixers(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A part to show with its equation, its options and how it shares weights.",
            show_default="all, as a table",
        ),
    ] = None,
    timed: Annotated[
        bool,
        typer.Option(
            "--time", help="Also time the mixers on one thread of this machine; takes seconds."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """List the families of parts with their options, costs and papers, or show one of them.

    A space's file can name mixer families one by one or by their group. Costs are per token, a
    position of a map, for the default options on maps of 14 x 14 positions and 64 channels.

    Example: nas mixers spatial_reduction
    """
    from nas.cli.console import show_json
    from nas.commands import mixers as parts

    if name is not None:
        found = [parts.document_of(role, each, timed) for role, each in parts.named(name)]
        if json:
            return show_json(found)
        return _show_each(found)
    documents = parts.documents(timed)
    return show_json(documents) if json else _show_all(documents, timed)


def _show_all(documents: list[dict[str, Any]], timed: bool) -> None:
    from nas.cli.console import show_table

    tables: dict[str, list[tuple[str, ...]]] = {}
    for each in documents:
        group = f", group {each['group']}" if each["group"] else ""
        cost = _cost(each, timed)
        row = (each["name"], _options(each), *cost, _what(each))
        tables.setdefault(f"{each['role'].capitalize()}{group}", []).append(row)
    costs = ("MACs/token", "us/token") if timed else ("MACs/token",)
    for title, rows in tables.items():
        show_table(title, ("name", "options", *costs, "what it is"), rows)


def _cost(document: dict[str, Any], timed: bool) -> tuple[str, ...]:
    counted = document["macs_per_token"]
    shown = "" if counted is None else f"{counted:,.0f}"
    if not timed:
        return (shown,)
    return shown, f"{document['us_per_token']:.2f}" if "us_per_token" in document else ""


def _options(document: dict[str, Any]) -> str:
    choices = document["options"].items()
    return "\n".join(f"{name}: {', '.join(map(str, values))}" for name, values in choices)


def _what(document: dict[str, Any]) -> str:
    checked = document["reference"] and f"tested against {document['reference']}"
    return "\n".join(filter(None, (document["summary"], document["paper"], checked)))


def _show_each(documents: list[dict[str, Any]]) -> None:
    from nas.cli.console import show_lines, show_table

    for each in documents:
        group = f", group {each['group']}" if each["group"] else ""
        show_lines([f"{each['name']} ({each['role']}{group})", "", each["description"], ""])
        if each["option_fields"]:
            rows = [
                (
                    field["name"],
                    ", ".join(map(str, field["values"])),
                    str(field["default"]),
                    field["unit"],
                )
                for field in each["option_fields"]
            ]
            title = f"Options: {each['options_meaning']}"
            show_table(title, ("option", "values", "default", "unit"), rows)
        show_lines(_about(each))


def _about(document: dict[str, Any]) -> list[str]:
    """How it shares weights, what it costs and what it is tested against."""
    exact = ", ".join("width" if name == "dim" else name for name in document["nested"])
    reference = document["reference"] or "a slow implementation of its equation"
    lines = [
        "A supernet shares its weights: a smaller one uses the leading channels and the centre "
        "of kernels.",
        "A network that is smaller in one of these equals the larger one with its other weights "
        f"at zero: {exact or 'none'}",
    ]
    if document["macs_per_token"] is not None:
        lines.append(f"MACs per token: {document['macs_per_token']:,.0f}")
        lines.append(f"Tested against: {reference}")
    if "us_per_token" in document:
        lines.append(
            f"Microseconds per token on one thread of this machine: {document['us_per_token']:.3g}"
        )
    return [*lines, f"Paper: {document['paper']}", ""]
