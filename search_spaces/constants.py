"""Constants of a forward pass, such as offsets between positions, built once for each size."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Concatenate, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


def constants(build: Callable[P, T]) -> Callable[Concatenate[Tensor, P], T]:
    """Cache the tensors that a function builds; the first argument is the tensor they serve.

    Nothing is cached while a graph is captured, or for a subclass of `Tensor`: the constants of a
    fake tensor are fake too, and a real tensor would get them later.
    """
    cached = cast(Callable[P, T], lru_cache(maxsize=256)(build))

    def constant(x: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if torch.compiler.is_compiling() or type(x) is not Tensor:
            return build(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return cached(*args, **kwargs)

    return constant
