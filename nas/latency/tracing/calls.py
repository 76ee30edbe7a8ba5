"""The operations of one forward pass with their operands described, ready to be run alone.

    calls = calls_of(module, (1, 3, 224, 224))

The module runs on fake tensors of the processor: shapes, strides and types are those of a real
pass, and nothing is computed. Operations stay in one piece, as in inference mode (`linear`,
`batch_norm`, `scaled_dot_product_attention`). Views are listed too. Calls that do the same work
have equal keys.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from nas.errors import SettingsError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """A tensor argument; operands of one call with equal `memory` share memory."""

    shape: Shape
    stride: Shape
    dtype: torch.dtype
    offset: int
    """Elements before its own, from the first element of this memory that the call uses."""
    memory: int
    weight: bool
    """Whether it is a parameter or buffer: a pass reads it only once, so no cache holds it."""

    @property
    def extent(self) -> int:
        """Elements of memory up to the last one that it uses, those before it included."""
        if 0 in self.shape:
            return self.offset
        steps = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        return self.offset + steps + 1

    def __str__(self) -> str:
        name = str(self.dtype).removeprefix("torch.")
        shape, stride = (",".join(map(str, values)) for values in (self.shape, self.stride))
        role = "weight" if self.weight else "memory"
        return f"{name}[{shape}]/[{stride}]@{role}{self.memory}+{self.offset}"


@dataclass(frozen=True, eq=False)
class Call:
    """An operation of ATen with its arguments; an `Operand` stands for each tensor."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    launches: bool
    """False for views, which compute nothing."""
    key: str
    """Equal for calls that do the same work."""

    @property
    def operands(self) -> list[Operand]:
        """All tensors among the arguments."""
        leaves = tree_leaves((self.arguments, self.named))
        return [leaf for leaf in leaves if isinstance(leaf, Operand)]

    def on(self, memories: Mapping[int, Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as tensors that lie in flat memories."""

        def tensor(operand: Operand) -> Tensor:
            memory = memories[operand.memory]
            offset = int(memory.storage_offset()) + operand.offset
            return memory.as_strided(operand.shape, operand.stride, offset)

        arguments, named = tree_map_only(Operand, tensor, (self.arguments, self.named))
        return arguments, named


def extents_of(operands: Iterable[Operand]) -> dict[int, int]:
    """How many elements of each memory are used."""
    found: dict[int, int] = {}
    for operand in operands:
        found[operand.memory] = max(found.get(operand.memory, 0), operand.extent)
    return found


def calls_of(module: nn.Module, *input_shapes: Shape) -> list[Call]:
    """The operations of one pass in evaluation mode, in order.

    Args:
        module: Any module; it is not changed. Its weights may be on meta.
        input_shapes: Shape of each float32 input; maps are channels-last.

    Raises:
        SettingsError: the module does not run on such inputs, or what it runs depends on values.
    """
    try:
        return _recorded(module, input_shapes)
    except Exception as error:  # whatever the network raises
        sizes = ", ".join("x".join(map(str, shape)) for shape in input_shapes)
        raise SettingsError(
            f"The operations of {type(module).__name__} on inputs of {sizes} cannot be listed: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}. Give inputs "
            "that it takes; a network whose operations depend on the values in its inputs has to "
            "be measured."
        ) from error


def _recorded(module: nn.Module, input_shapes: Sequence[Shape]) -> list[Call]:
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    # A copy with the same weights, so that caches about inputs do not stay in the module.
    module = copy.deepcopy(module, {id(tensor): tensor for tensor in state.values()}).eval()
    with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True):
        weights = {name: _fake(tensor) for name, tensor in state.items()}
        inputs = tuple(_fake_input(shape) for shape in input_shapes)
        for _ in range(2):  # the first pass fills caches of constants
            recorder = _Recorder(weights.values())
            with recorder:
                functional_call(module, weights, inputs)
    return recorder.calls


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation that takes a tensor."""

    def __init__(self, weights: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._weights = {_memory(tensor) for tensor in weights}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        before = {_memory(t) for t in _tensors((args, kwargs))}
        arguments, named = _described((args, kwargs), self._weights)
        result = func(*args, **kwargs)
        results = _tensors(result)
        if results and func.namespace == "aten":
            mutates = func._schema.is_mutable
            launches = mutates or any(_memory(t) not in before for t in results)
            key = f"{func}({_text(arguments)};{_text(named)})"
            self.calls.append(Call(func, arguments, named, launches, key))
        return result


def _described(tree: Any, weights: set[int]) -> Any:
    """The arguments with an `Operand` for each tensor."""
    first: dict[int, int] = {}
    for tensor in _tensors(tree):
        memory, offset = _memory(tensor), int(tensor.storage_offset())
        first[memory] = min(first.get(memory, offset), offset)
    numbers = {memory: i for i, memory in enumerate(first)}

    def operand(tensor: Tensor) -> Operand:
        memory = _memory(tensor)
        return Operand(
            tuple(tensor.shape),
            tensor.stride(),
            tensor.dtype,
            int(tensor.storage_offset()) - first[memory],
            numbers[memory],
            memory in weights,
        )

    return tree_map_only(Tensor, operand, tree)


def _fake(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")


def _fake_input(shape: Shape) -> Tensor:
    order = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.empty(shape, device="cpu", memory_format=order)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_text(one)}" for name, one in value.items())
    if isinstance(value, (tuple, list)):
        return f"({','.join(map(_text, value))})"
    return str(value)


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
