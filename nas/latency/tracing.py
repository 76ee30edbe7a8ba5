"""From a module to the kernels it launches, without running any: op, shapes, FLOPs, bytes.

    kernels = trace(module, (1, 3, 32, 32))

The module runs on meta tensors, which have shapes and no memory. Views launch nothing. Attention
and Fourier transforms are recorded whole, with formulas of our own:

    attention   2 B h N M (d + d_v)         FLOPs; queries (B, h, N, d), keys (B, h, M, d)
    FFT         5 n log2 n, half if real    FLOPs per transform of n points (radix-2 count)

The FLOPs of products and convolutions (2 per multiply-accumulate) are torch's own, see
`torch.utils.flop_counter`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Kind = Literal["product", "convolution", "depthwise", "attention", "fft", "memory"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Shape = tuple[int, ...]


class Buffer(NamedTuple):
    """A piece of memory: who it belongs to decides whether it counts as an activation."""

    id: int
    bytes: int
    role: Literal["input", "weight", "constant", "activation"]


@dataclass(frozen=True)
class Kernel:
    """One operation that runs on the device.

    `bytes_read` and `bytes_written` count each tensor once; `reads` and `writes` are the whole
    buffers behind them, from which follows what is alive when.
    """

    op: str
    kind: Kind
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    flops: int
    bytes_read: int
    bytes_written: int
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]


def trace(module: nn.Module, *input_shapes: Shape) -> list[Kernel]:
    """The kernels of one forward pass in evaluation mode, in order.

    Args:
        module: Any module; it is left as it is. Its weights and buffers are replaced by meta
            tensors for the time of the trace.
        input_shapes: Shape of each float32 input; maps are channels-last.
    """
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weights = {name: _on_meta(tensor) for name, tensor in state.items()}
    inputs = tuple(_input(shape) for shape in input_shapes)
    with _evaluation(module), torch.no_grad():
        kernels = _record(module, weights, inputs)
        if any(_makes_constants(kernel) for kernel in kernels):
            # A first call fills caches of constants (window offsets), which later ones only read.
            kernels = _record(module, weights, inputs)
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
    module: nn.Module, weights: Mapping[str, Tensor], inputs: tuple[Tensor, ...]
) -> list[Kernel]:
    recorder = _Recorder(weights, inputs)
    with _WholeAttention(recorder), recorder:
        functional_call(module, dict(weights), inputs)
    return recorder.kernels


def _makes_constants(kernel: Kernel) -> bool:
    """Whether a kernel sees neither an input nor a weight, nor what was made of them."""
    return not kernel.reads


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation below autograd that launches something."""

    def __init__(self, weights: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[Kernel] = []
        self.paused = False
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
        result = _run(func, args, kwargs)
        if not self.paused and _tensors(result) and not _is_view(func):
            packet = func.overloadpacket
            kind, flops = _work(packet, args, kwargs, result)
            self.record(str(packet), kind, flops, (args, kwargs), result)
        return result

    def record(self, op: str, kind: Kind, flops: int, read: Any, written: Any) -> None:
        """Add a kernel that reads and writes the tensors in two trees of arguments."""
        sources, results = _tensors(read), _tensors(written)
        self.kernels.append(
            Kernel(
                op=op,
                kind=kind,
                input_shapes=tuple(tuple(t.shape) for t in sources),
                output_shapes=tuple(tuple(t.shape) for t in results),
                flops=flops,
                bytes_read=sum(map(_bytes, sources)),
                bytes_written=sum(map(_bytes, results)),
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


class _WholeAttention(TorchFunctionMode):
    """Records attention as one kernel; on meta tensors it would fall apart into products."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        names = ("query", "key", "value")
        q, k, v = (args[i] if len(args) > i else kwargs[name] for i, name in enumerate(names))
        # Fused kernels leave the heads beside the channels, (B, N, heads, d) in memory.
        shape = (*q.shape[:-3], q.shape[-2], *q.shape[-3:-2], v.shape[-1])
        self.recorder.paused = True
        try:
            result = q.new_empty(shape).transpose(-3, -2) if q.dim() > 2 else func(*args, **kwargs)
        finally:
            self.recorder.paused = False
        flops = 2 * math.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        self.recorder.record(
            "scaled_dot_product_attention", "attention", flops, (args, kwargs), result
        )
        return result


def _work(packet: Any, args: Any, kwargs: Any, result: Any) -> tuple[Kind, int]:
    """What kind of work an operation is, and its FLOPs; memory-bound ones count none."""
    name = str(packet)
    if packet in flop_registry:
        flops = int(flop_registry[packet](*args, **kwargs, out_val=result))
        if "conv" not in name:
            return "product", flops
        # As many groups as channels: bound by memory, unlike a dense convolution.
        return ("depthwise" if 1 < args[1].shape[0] == args[-1] else "convolution"), flops
    if "_fft_" in name:
        return "fft", _fft_flops(name, args, result)
    return "memory", 0


def _fft_flops(name: str, args: Any, result: Tensor) -> int:
    """5 n log2 n for each transform; a real side halves the work."""
    signal = result if "c2r" in name else args[0]  # the side that has all points
    points = math.prod(signal.shape[d] for d in args[1])
    transforms = signal.numel() // points
    flops = transforms * 5 * points * math.log2(max(points, 2))
    return int(flops if "c2c" in name else flops / 2)


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on meta tensors; one already seen on equal shapes is only imitated.

    Torch works out many shapes in Python, at 0.2 ms each; a space repeats a few hundred of them.
    """
    if func._schema.is_mutable or any(r.alias_info for r in func._schema.returns):
        return func(*args, **kwargs)
    key = (func, _described(args), _described(list(kwargs.items())))
    if key not in _SEEN:
        result = func(*args, **kwargs)
        results = result if isinstance(result, tuple) else (result,)
        plain = all(isinstance(r, Tensor) and r.device.type == "meta" for r in results)
        _SEEN[key] = [_described(r) for r in results] if plain else None
        return result
    seen = _SEEN[key]
    if seen is None:
        return func(*args, **kwargs)
    made = tuple(torch.empty_strided(*d[1:3], dtype=d[3], device="meta") for d in seen)
    return made if len(func._schema.returns) > 1 else made[0]


_SEEN: dict[Any, Any] = {}
"""Results of operations on meta tensors, which depend on shapes alone."""


def _described(value: Any) -> Any:
    """All that decides what a meta operation makes of a value."""
    if isinstance(value, Tensor):
        return Tensor, tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, (tuple, list)):
        return type(value), *map(_described, value)
    return type(value), repr(value)


def _is_view(func: Any) -> bool:
    """Whether the results only look at memory that the arguments have."""
    if func is torch.ops.aten._unsafe_view.default:
        return True
    returns = func._schema.returns
    aliases = [r.alias_info for r in returns]
    return bool(aliases) and all(a is not None and not a.is_write for a in aliases)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    """Bytes that a tensor touches; an expanded one is no larger than its memory."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _input(shape: Shape) -> Tensor:
    format_ = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.empty(shape, device="meta", memory_format=format_)


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


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
