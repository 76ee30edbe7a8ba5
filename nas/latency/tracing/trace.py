"""From a module to the kernels it launches, without running any: op, shapes, FLOPs, bytes.

    kernels = trace(module, (1, 3, 32, 32), precision="amp")

The module runs on meta tensors, which have shapes and no memory. Views launch nothing. Attention,
LSTMs (`whole.py`) and Fourier transforms are recorded as libraries run them, with a formula of our
own:

    FFT         5 n log2 n, half if real    FLOPs per transform of n points (radix-2 count)

The FLOPs of products and convolutions (2 per multiply-accumulate) are torch's own, see
`torch.utils.flop_counter`. With `amp` the casts of CUDA's autocast are kernels of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from nas.latency.tracing.fused import Whole
from nas.latency.tracing.operations import KINDS, Kind, Operation, Product, run, tensors_in
from nas.latency.tracing.shapes import CHANNELS_LAST, Shape, is_channels_last, strides_of

__all__ = [
    "KINDS",
    "PRECISIONS",
    "Buffer",
    "Kernel",
    "Kind",
    "Layout",
    "Precision",
    "Product",
    "peak_activation_bytes",
    "trace",
]

Precision = Literal["fp32", "tf32", "amp", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Layout = Literal["channels_last", "channels_first"]

_HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
_AUTOCAST_HALF = frozenset(
    ("convolution", "mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "_convolution")
)
"""Operations that autocast runs in half precision, as they are below autograd."""
_AUTOCAST_SINGLE = frozenset(
    (
        *("native_layer_norm", "native_group_norm", "_softmax", "_log_softmax", "pow", "exp"),
        *("log", "reciprocal", "rsqrt", "softplus", "sum", "prod", "cumsum", "linalg_vector_norm"),
        *("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "logsumexp"),
        *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    )
)
"""Operations that autocast runs in single precision; torch/aten/src/ATen/autocast_mode.h."""


class Buffer(NamedTuple):
    """A piece of memory: who it belongs to decides whether it counts as an activation."""

    id: int
    bytes: int
    role: Literal["input", "weight", "constant", "activation"]


@dataclass(frozen=True)
class Kernel:
    """One operation that runs on the device; each tensor's bytes count once."""

    op: str
    kind: Kind
    dtype: str
    """Of its first operand: float32, float16, ..."""
    channels_last: bool
    """Whether its first operand is a map in channels-last memory."""
    strided: bool
    """Whether an operand lies in another order in memory than the result."""
    product: Product | None
    """Matrix products and convolutions as the product they are."""
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    flops: int
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    reads: tuple[Buffer, ...]
    """The whole buffers behind the operands, from which follows what is alive when."""
    writes: tuple[Buffer, ...]

    @property
    def bytes_read(self) -> int:
        """Of all operands."""
        return sum(self.input_bytes)

    @property
    def bytes_written(self) -> int:
        """Of all results."""
        return sum(self.output_bytes)


def trace(
    module: nn.Module,
    *input_shapes: Shape,
    precision: Precision = "fp32",
    layout: Layout = "channels_last",
) -> list[Kernel]:
    """The kernels of one forward pass in evaluation mode, in order.

    Args:
        module: Any module; it is left as it is. Its weights and buffers are replaced by meta
            tensors for the time of the trace.
        input_shapes: Shape of each floating-point input.
        precision: Of weights and inputs; `amp` keeps them in single precision and casts what
            autocast would.
        layout: Memory layout of maps and of convolutions' weights.
    """
    dtype = _HALF.get(precision, torch.float32)
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weights = {name: _on_meta(tensor, dtype, layout) for name, tensor in state.items()}
    inputs = tuple(_input(shape, dtype, layout) for shape in input_shapes)
    autocast = precision == "amp"
    with _evaluation(module), torch.no_grad():
        kernels = _record(module, weights, inputs, autocast)
        if any(_makes_constants(kernel) for kernel in kernels):
            # A first call fills caches of constants (window offsets), which later ones only read.
            kernels = _record(module, weights, inputs, autocast)
    return kernels


def peak_activation_bytes(kernels: Sequence[Kernel]) -> int:
    """The greatest sum of activations alive at once, inputs included, weights not.

    A buffer lives from the kernel that writes it (an input: from the start) to the last one that
    reads it; what nothing reads is a result and stays.
    """
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for i, kernel in enumerate(kernels):
        for buffer in (*kernel.reads, *kernel.writes):
            if buffer.role in ("input", "activation"):
                first.setdefault(buffer, 0 if buffer.role == "input" else i)
                last[buffer] = i
    change = [0] * (len(kernels) + 1)
    for buffer, start in first.items():
        change[start] += buffer.bytes
        change[last[buffer] + 1] -= buffer.bytes
    alive = peak = 0
    for difference in change:
        alive += difference
        peak = max(peak, alive)
    return peak


def _record(
    module: nn.Module, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...], autocast: bool
) -> list[Kernel]:
    recorder = _Recorder(weights, inputs, autocast)
    with Whole(recorder), recorder:
        functional_call(module, dict(weights), inputs)
    return recorder.kernels


def _makes_constants(kernel: Kernel) -> bool:
    """Whether a kernel sees neither an input nor a weight, nor what was made of them."""
    return not kernel.reads


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation below autograd that launches something."""

    def __init__(
        self, weights: Mapping[str, Tensor], inputs: Sequence[Tensor], autocast: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[Kernel] = []
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
        operation = Operation.of(func)
        if self.autocast and not self.paused:
            args = self._autocast(operation.name, args)
        result, work = run(operation, args, kwargs)
        if not self.paused and operation.launches and work is not None:
            read = (args, kwargs) if kwargs else args
            self.record(operation.title, work.kind, work.flops, read, result, work.product)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler, which takes a second

    def _autocast(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Operands as CUDA's autocast would hand them over."""
        if name in _AUTOCAST_HALF:
            return self.cast(args, torch.float16)
        if name in _AUTOCAST_SINGLE:
            return self.cast(args, torch.float32)
        return args

    def cast(self, args: tuple[Any, ...], dtype: torch.dtype) -> tuple[Any, ...]:
        """Floating-point operands in a precision; every cast that happens is recorded."""
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
        """Add a kernel that reads and writes the tensors in two trees of arguments."""
        sources, results = tensors_in(read), tensors_in(written)
        first = sources[0] if sources else results[0]
        self.kernels.append(
            Kernel(
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
        """The buffer behind a tensor; `role` is for one that was not seen before."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._buffers:
            self._kept.append(storage)
            self._buffers[key] = Buffer(len(self._buffers), storage.nbytes(), role)
        return self._buffers[key]


def _differs(operand: Tensor, result: Tensor) -> bool:
    """Whether two tensors of one shape are stored in different orders."""
    same: bool = operand.shape == result.shape
    return same and operand.stride() != result.stride()


def _bytes(tensor: Tensor) -> int:
    """Bytes that a tensor touches; an expanded one is no larger than its memory."""
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
    """Of a tensor without gaps; only maps have a layout."""
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
