"""Random numbers of some images of a batch: those that they have when the whole batch is run.

    torch.rand(rows, ...)  ->  torch.rand(images, ...)[rows]

The call is caught while a network runs on a part of the images, so networks know nothing of parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class DrawsOfWhole(TorchFunctionMode):
    """Catches `torch.rand` while a network runs on a part of the images.

    Args:
        rows: The images that it runs on.
        images: How many there are in all.
    """

    def __init__(self, rows: slice, images: int) -> None:
        super().__init__()
        self.rows, self.images = rows, images

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch, or what stands in for it."""
        if func is torch.rand:
            return rand_of_rows(func, self.rows, self.images, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def drawn_for(rows: slice, images: int) -> AbstractContextManager[object]:
    """Within it a network draws for all images and runs on some rows of them."""
    if rows == slice(0, images):
        return nullcontext()
    return DrawsOfWhole(rows, images)


def rand_of_rows(
    rand: Callable[..., Tensor], rows: slice, images: int, *size: Any, **how: Any
) -> Tensor:
    """Random numbers for some rows of a batch; other sizes are drawn as they are.

    Args:
        rand: Draws numbers, as `torch.rand`.
        rows: Which rows of the batch these are.
        images: How many rows the batch has.
        size: Of the numbers; the first is that of the batch.
        how: Type and device of the numbers.
    """
    first, *others = size[0] if isinstance(size[0], Sequence) else size
    if first != rows.stop - rows.start:
        return rand(*size, **how)
    return rand((images, *others), **how)[rows]
