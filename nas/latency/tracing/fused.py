"""Functions that libraries run as one operation, and that would fall apart on meta tensors.

attention   one operation of 2 B h N M (d + d_v) FLOPs; queries (B, h, N, d), keys (B, h, M, d)
LSTM        for each layer and direction one product for the inputs of all T steps, then for each
            step a product of the state and one element-wise operation for the gates (cuDNN's way:
            Appleyard et al. 2016, https://arxiv.org/abs/1604.01946, Section 3)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nas.latency.tracing.operations import Kind, Product

_LSTM_ARGUMENTS = 9
"""How many arguments an LSTM on tensors has; on packed sequences it has others."""


class Recorder(Protocol):
    """Is told what runs."""

    paused: bool
    autocast: bool

    def cast(self, args: tuple[Any, ...], dtype: torch.dtype) -> tuple[Any, ...]:
        """The operands in a precision; every cast is recorded."""

    def record(
        self, op: str, kind: Kind, flops: int, read: Any, written: Any, product: Product | None
    ) -> None:
        """Add an operation."""


class Fused(TorchFunctionMode):
    """Catches these functions before torch takes them apart."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attention(func, args, kwargs)
        if _is_plain(func, args):
            return self._lstm(*args)
        if self.recorder.autocast and getattr(func, "__name__", "").startswith("conv"):
            args = self.recorder.cast(
                args, torch.float16
            )  # torch checks their types before it dispatches
        return func(*args, **kwargs)

    @contextmanager
    def _unrecorded(self) -> Iterator[None]:
        self.recorder.paused = True
        try:
            yield
        finally:
            self.recorder.paused = False

    def _attention(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        names = ("query", "key", "value")
        operands = tuple(
            args[i] if len(args) > i else kwargs[name] for i, name in enumerate(names)
        )
        if self.recorder.autocast:
            operands = self.recorder.cast(operands, torch.float16)
        q, k, v = operands
        # Fused operations leave the heads beside the channels, (B, N, heads, d) in memory.
        shape = (*q.shape[:-3], q.shape[-2], *q.shape[-3:-2], v.shape[-1])
        with self._unrecorded():
            result: Tensor = (
                q.new_empty(shape).transpose(-3, -2) if q.dim() > 2 else func(*args, **kwargs)
            )
        flops = 2 * math.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        product = Product(math.prod(q.shape[:-2]), q.shape[-2], k.shape[-2], q.shape[-1])
        read = (q, k, v, args[3:], kwargs)
        self.recorder.record(
            "scaled_dot_product_attention", "attention", flops, read, result, product
        )
        return result

    def _lstm(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Sequence[Tensor],
        biased: bool,
        layers: int,
        dropout: float,
        training: bool,
        both_ways: bool,
        batch_first: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.recorder.autocast:
            x, *state = self.recorder.cast((x, *state), torch.float16)
            weights = self.recorder.cast(tuple(weights), torch.float16)
        if batch_first:
            x = x.transpose(0, 1).contiguous()  # libraries want (T, B, channels)
        ways, each = 2 if both_ways else 1, 4 if biased else 2
        size = state[0].shape[-1]
        for layer in range(layers):
            outputs = x.new_empty(*x.shape[:2], ways * size)
            for way in range(ways):
                w = weights[(layer * ways + way) * each :]
                self._steps(
                    x, w[0], w[1], outputs[..., way * size : (way + 1) * size], state[0][0]
                )
            x = outputs
        return x.transpose(0, 1) if batch_first else x, state[0], state[1]

    def _steps(
        self, x: Tensor, w_input: Tensor, w_hidden: Tensor, outputs: Tensor, hidden: Tensor
    ) -> None:
        """One direction of a layer: x (T, B, channels), outputs (T, B, size), hidden (B, size)."""
        gates = self._product(x, w_input)
        for of_inputs, output in zip(gates, outputs, strict=True):
            of_hidden = self._product(hidden, w_hidden)
            self.recorder.record(
                "lstm_cell", "elementwise", 0, (of_inputs, of_hidden), output, None
            )
            hidden = output

    def _product(self, rows: Tensor, weight: Tensor) -> Tensor:
        n, k = weight.shape
        m = rows.numel() // k
        result = rows.new_empty(*rows.shape[:-1], n)
        product = Product(1, m, n, k)
        self.recorder.record("lstm", "product", 2 * m * n * k, (rows, weight), result, product)
        return result


def _is_plain(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether it is an LSTM on a tensor (no packed sequence) that does not project its output."""
    if (
        func is not torch.lstm
        or len(args) != _LSTM_ARGUMENTS
        or isinstance(args[3], (list, tuple))
    ):
        return False
    _, state, weights, biased, layers, _, _, both_ways, _ = args
    return bool(len(weights) == layers * (1 + both_ways) * (4 if biased else 2))
