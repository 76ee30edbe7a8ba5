"""Reads a YAML file that a person wrote: its data, and the line of each key for messages.

document = read_yaml(text)
document.data                                  the content of the file
document.place(("stages", 0, "mixers"))        "line 7, stages[0].mixers"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Location = tuple[int | str, ...]
"""Keys and indices that lead from the top of a file to a value."""
Mistake = tuple[Location, str]
"""The place of a mistake, and the mistake in words."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "<<"


@dataclass(frozen=True)
class Document:
    """The content of a file, and its lines."""

    data: object
    root: yaml.Node | None

    def repeated_keys(self) -> Iterator[Mistake]:
        """Keys that occur twice in one mapping; YAML would silently keep the last."""
        todo: list[tuple[Location, yaml.Node | None]] = [((), self.root)]
        seen: set[int] = set()
        while todo:
            at, node = todo.pop(0)
            if id(node) in seen:  # an alias
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                todo += [((*at, i), item) for i, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode):
                todo += [((*at, key.value), value) for key, value in node.value]
                keys = [key for key, _ in node.value]
                for i, key in enumerate(keys):
                    if key.value in [before.value for before in keys[:i]]:
                        again = key.start_mark.line + 1
                        what = f"stands here and on line {again}; keep one of them."
                        yield (*at, key.value), what

    def place(self, location: Location) -> str:
        """`line 7, stages[0].mixers[1]`: the line of the last step that the file has."""
        node = self.root
        line = node.start_mark.line + 1 if node is not None else 1
        for step in location:
            found = _entry(node, step)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return f"line {line}, {place(location)}"

    def report(self, mistakes: list[Mistake]) -> str:
        """All mistakes, one per line."""
        return "\n".join(f"  {self.place(where)}: {what}" for where, what in mistakes)


def read_yaml(text: str) -> Document:
    """Read the text of a file.

    Raises:
        ValueError: it is not YAML; the message says why and where.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return Document(data, root)


def place(location: Location) -> str:
    """`stages[0].mixers[1]`, for a location in data that has no lines."""
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return words.lstrip(".") or "the file"


def _entry(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node of a step's key, and that of its value; keys may be merged from an anchor."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    todo, seen = [node], set[int]()
    while todo:
        node = todo.pop(0)
        if isinstance(node, yaml.MappingNode) and id(node) not in seen:
            seen.add(id(node))  # an anchor may be merged into itself
            for key, value in node.value:
                if key.value == str(step):
                    return key, value
            todo += [value for key, value in node.value if key.value == _MERGE]
    return None
