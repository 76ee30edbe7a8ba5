"""A module's operations in order, without running any: what they are, shapes, FLOPs and bytes.

    operations = trace(module, (1, 3, 32, 32), precision="amp")

The module runs on meta tensors, which have shapes and no memory. Views are left out: they compute
nothing. Attention and LSTMs (`fused.py`) and Fourier transforms are recorded as libraries run
them, with our own formula for FLOPs:

    FFT         5 n log2 n, half if real    FLOPs per transform of n points (radix-2 count)

The FLOPs of products and convolutions (2 per multiply-accumulate) are those of
`torch.utils.flop_counter`. With `amp` the casts of CUDA's autocast are operations of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from nas.latency.tracing.fused import Fused
from nas.latency.tracing.operations import Buffer, Kind, Layout, Operation, Precision, Product
from nas.latency.tracing.overloads import Overload, run, tensors_in
from nas.latency.tracing.shapes import CHANNELS_LAST, Shape, is_channels_last, strides_of

_HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
_AUTOCAST_HALF = frozenset(
    ("convolution", "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "_convolution")
)
"""Functions that autocast runs in half precision, by their names below autograd."""
_AUTOCAST_SINGLE = frozenset(
    (
        *("native_layer_norm", "native_group_norm", "_softmax", "_log_softmax", "pow", "exp"),
        *("log", "reciprocal", "rsqrt", "softplus", "sum", "prod", "cumsum", "linalg_vector_norm"),
        *("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "logsumexp"),
        *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    )
)
"""Functions that autocast runs in single precision; torch/aten/src/ATen/autocast_mode.h."""


def trace(
    module: nn.Module,
    *input_shapes: Shape,
    precision: Precision = "fp32",
    layout: Layout = "channels_last",
) -> list[Operation]:
    """The operations of one forward pass in evaluation mode, in order.

    Args:
        module: Any module; it is left as it is. Its weights and buffers are replaced by meta
            tensors for the time of the trace.
        input_shapes: Shape of each floating-point input.
        precision: Of weights and inputs; `amp` keeps them in single precision and casts what
            autocast would.
    """
    dtype = _HALF.get(precision, torch.float32)
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    autocast = precision == "amp"
    # In inference mode torch reports other, larger functions.
    with torch.inference_mode(False), torch.no_grad(), _evaluation(module):
        weights = {name: _on_meta(tensor, dtype, layout) for name, tensor in state.items()}
        inputs = tuple(_input(shape, dtype, layout) for shape in input_shapes)
        operations = _record(module, weights, inputs, autocast)
        if any(_makes_constants(operation) for operation in operations):
            # The first pass filled caches of constants (window offsets); the next only reads them.
            operations = _record(module, weights, inputs, autocast)
    return operations


def _record(
    module: nn.Module, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...], autocast: bool
) -> list[Operation]:
    recorder = _Recorder(weights, inputs, autocast)
    with Fused(recorder), recorder:
        functional_call(module, dict(weights), inputs)
    return recorder.operations


def _makes_constants(operation: Operation) -> bool:
    """Whether an operation sees neither an input nor a weight, nor what was made of them."""
    return not operation.reads


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every function below autograd that runs something on the device."""

    def __init__(
        self, weights: Mapping[str, Tensor], inputs: Sequence[Tensor], autocast: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.paused = False
        self.autocast = autocast
        self._cast_weights: dict[int, Tensor] = {}  # autocast casts each weight once
        self._kept: list[Any] = []  # storages stay alive, so that their ids stay unique
        self._buffers: dict[int, Buffer] = {}
        for tensor in weights.values():
            self._buffer(tensor, "weight")
        for tensor in inputs:
            self._buffer(tensor, "input")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        overload = Overload.of(func)
        if self.autocast and not self.paused:
            args = self._autocast(overload.name, args)
        result, work = run(overload, args, kwargs)
        if not self.paused and overload.launches and work is not None:
            read = (args, kwargs) if kwargs else args
            self.record(overload.title, work.kind, work.flops, read, result, work.product)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports its compiler, which takes a second

    def _autocast(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Operands as CUDA's autocast would hand them over."""
        if name in _AUTOCAST_HALF:
            return self.cast(args, torch.float16)
        if name in _AUTOCAST_SINGLE:
            return self.cast(args, torch.float32)
        return args

    def cast(self, args: tuple[Any, ...], dtype: torch.dtype) -> tuple[Any, ...]:
        """The floating-point operands in a precision; every cast is recorded."""
        return tuple(
            self._as_dtype(a, dtype)
            if isinstance(a, Tensor) and a.is_floating_point() and a.dtype is not dtype
            else a
            for a in args
        )

    def _as_dtype(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        buffer = self._buffer(tensor, "constant")
        key = buffer.id
        if buffer.role == "weight" and key in self._cast_weights:
            return torch.empty_like(tensor, dtype=dtype).set_(
                self._cast_weights[key].untyped_storage(), 0, tensor.shape, tensor.stride()
            )
        result = torch.empty_like(tensor, dtype=dtype)
        self.record("aten._to_copy", "copy", 0, tensor, result, None)
        if buffer.role == "weight":
            self._cast_weights[key] = result
        return result

    def record(
        self, op: str, kind: Kind, flops: int, read: Any, written: Any, product: Product | None
    ) -> None:
        """Add an operation that reads and writes the tensors in two trees of arguments."""
        sources, results = tensors_in(read), tensors_in(written)
        first = sources[0] if sources else results[0]
        self.operations.append(
            Operation(
                op=op,
                kind=kind,
                dtype=str(first.dtype).removeprefix("torch."),
                channels_last=is_channels_last(first),
                strided=any(_differs(tensor, results[0]) for tensor in sources),
                product=product,
                input_shapes=tuple(tuple(t.shape) for t in sources),
                output_shapes=tuple(tuple(t.shape) for t in results),
                flops=flops,
                input_bytes=tuple(map(_bytes, sources)),
                output_bytes=tuple(map(_bytes, results)),
                reads=tuple(self._buffer(t, "constant") for t in sources),
                writes=tuple(self._buffer(t, "activation") for t in results),
            )
        )

    def _buffer(self, tensor: Tensor, role: Any) -> Buffer:
        """The buffer that a tensor lies in; `role` is given to one that was not seen before."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._buffers:
            self._kept.append(storage)
            dtype = str(tensor.dtype).removeprefix("torch.")
            self._buffers[key] = Buffer(len(self._buffers), storage.nbytes(), role, dtype)
        return self._buffers[key]


def _differs(operand: Tensor, result: Tensor) -> bool:
    """Whether two tensors of one shape are stored in different orders."""
    same: bool = operand.shape == result.shape
    return same and operand.stride() != result.stride()


def _bytes(tensor: Tensor) -> int:
    """Bytes that a tensor touches; an expanded tensor touches no more than its memory."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _input(shape: Shape, dtype: torch.dtype, layout: Layout) -> Tensor:
    return torch.empty_strided(shape, _strides(shape, layout), dtype=dtype, device="meta")


def _on_meta(tensor: Tensor, dtype: torch.dtype, layout: Layout) -> Tensor:
    """A weight without memory, in the precision and the layout of a trace."""
    chosen = dtype if tensor.is_floating_point() else tensor.dtype
    if tensor.dim() == 4 and layout == "channels_last":
        strides = _strides(tensor.shape, layout)
    elif tensor.is_contiguous():
        strides = tensor.stride()
    else:
        strides = torch.empty_like(tensor, device="meta").stride()
    return torch.empty_strided(tensor.shape, strides, dtype=chosen, device="meta")


def _strides(shape: Shape, layout: Layout) -> Shape:
    """Strides of a tensor without gaps; only maps have a layout."""
    maps = len(shape) == 4 and layout == "channels_last"
    return strides_of(shape, CHANNELS_LAST if maps else None)


@contextlib.contextmanager
def _evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, with every submodule's own mode put back."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training
