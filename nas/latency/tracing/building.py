"""Modules without memory: on meta tensors, not initialised, and so built quickly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are built within are on meta tensors."""
    with torch.device("meta"), _Uninitialised():  # type: ignore[no-untyped-call]
        yield


class _Uninitialised(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Skips initialisation, which takes torch its time although there is no memory to fill."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return args[0] if func._schema.is_mutable else func(*args, **(kwargs or {}))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports its compiler, which takes a second
