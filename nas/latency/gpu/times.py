"""Milliseconds of launches on a GPU, from its data sheet and a few hundred fitted numbers.

A launch computes and moves memory at the same time, and neither hides the other whole:

    t          = (compute^p + memory^p)^(1/p)
    compute    = FLOPs / (peak e) (1 + w SMs / tiles), or bytes / (what the SMs can touch e)
    memory     = (r bytes read + s bytes written) / bandwidth, faster where they fit the L2 cache
    e          = e_kind n / (n + n_kind) k / (k + k_kind), less where the tensor cores do more per
                 cycle, where power is short and where sizes are no multiples of 8
    tiles      = ceil(m / 128) ceil(n / 128) groups of a product or convolution

A network takes the longer of what the device needs and what the host needs to launch it:

    ms         = ((sum of factor t + gap)^8 + (launches host)^8)^(1/8) + fixed

`factor`, `gap`, `host` and `fixed` belong to the runtime, all else to the GPU; the GPU is known by
its data sheet only. Fitted by `fitting.py`; rooflines: Williams et al. 2009,
https://doi.org/10.1145/1498765.1498785; waves and tiles: NeuSight, https://arxiv.org/abs/2407.13853
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.latency.devices import Device
from nas.latency.gpu.launches import LAUNCH_KINDS, Fusion, Launches

TENSOR = ("stem", "pointwise", "convolution", "grouped", "product", "batched_product", "attention")
_CONVOLUTIONS = ("stem", "pointwise", "convolution", "grouped")
_TILE = 128
_LANES = 128
"""FLOPs per cycle of an SM without its tensor cores that other work than products can use; chips
with twice as many have no more paths to memory for them."""
_ISSUED_BYTES = 32
"""Bytes per cycle of an SM that element-wise work in half precision touches, about."""
_WINDOW = 25
"""Places of a window up to which depthwise kernels are specialised."""
_PIPELINE = 8.0
PER_KIND = ("efficiency", "half_n", "half_k", "read", "write")
PER_RUNTIME = ("factor", "gap_ms", "host_ms", "fixed_ms")
COMMON = (
    *("overlap", "l2_speed", "l2_share", "wave"),
    *("intensity", "throttle", "tf32", "fp32", "odd_product", "odd_convolution"),
    *("window", "older_host", "embedded_host"),
)
_OLDER = ("pascal", "volta", "turing", "maxwell")
"""Architectures whose boards sit in machines with processors of their time."""


@dataclass(frozen=True)
class Runtime:
    """How a runtime launches: what it fuses, and whose terms it takes."""

    fusion: Fusion
    family: str
    """Runtimes of one family share their factor."""
    pipelined: bool = False
    """Whether a host launches kernel by kernel."""


RUNTIMES: Mapping[str, Runtime] = {
    "eager": Runtime("none", "torch2", True),
    "compile": Runtime("compile", "torch2"),
    "cuda-graph": Runtime("none", "torch2"),
    "tensorrt": Runtime("engine", "tensorrt"),
    "onnxruntime": Runtime("engine", "tensorrt"),
    # Only in published tables:
    "eager-ngc": Runtime("none", "ngc", True),
    "eager-torch1": Runtime("none", "torch1", True),
    "jit": Runtime("none", "jit", True),
    "fastertransformer": Runtime("engine", "fastertransformer"),
    "fastertransformer-op": Runtime("engine", "fastertransformer"),
    "fastertransformer-plugin": Runtime("engine", "fastertransformer"),
    "fastertransformer-unfused": Runtime("engine-without-attention", "fastertransformer"),
    "kernel": Runtime("none", "kernel"),
}


def way_of(runtime: str) -> str:
    """How a runtime launches: kernels as they come, or fused ones without waiting for the host."""
    return "launched" if RUNTIMES[runtime].fusion == "none" else "fused"


FAMILIES = tuple(dict.fromkeys(runtime.family for runtime in RUNTIMES.values()))
HALF = ("fp16", "bf16", "amp")


@dataclass(frozen=True)
class Parameters:
    """Logarithms of all that is fitted; `exponents` among COMMON are plain."""

    kinds: Tensor
    """(kinds, 5) in the order of LAUNCH_KINDS and PER_KIND."""
    common: Tensor
    """(13,) in the order of COMMON."""
    factors: Tensor
    """(families,)"""
    runtimes: Tensor
    """(runtimes, 3): gap, host and fixed milliseconds."""


@dataclass(frozen=True)
class Batch:
    """Launches of several networks, each on its own device and runtime, as tensors.

    Rows (n) are launches, samples (s) are networks.
    """

    kind: Tensor
    """(n,)"""
    sizes: Tensor
    """(n, 8), see `Launches.sizes`"""
    counts: Tensor
    """(n,)"""
    sample: Tensor
    """To which network each row belongs, (n,)."""
    device: Tensor
    """(s, 11), see `device_numbers`"""
    runtime: Tensor
    """(s,)"""

    @cached_property
    def columns(self) -> Tensor:
        """Sizes side by side, (8, n): fitting reads them a hundred times."""
        return self.sizes.T.contiguous()

    @cached_property
    def devices(self) -> Tensor:
        """The device of each row, (11, n)."""
        return self.device[self.sample].T.contiguous()

    @classmethod
    def of(
        cls, launches: Sequence[Launches], devices: Sequence[Sequence[float]], runtimes: list[str]
    ) -> Batch:
        """Stack networks."""
        lengths = [len(one.kinds) for one in launches]
        index = {kind: i for i, kind in enumerate(LAUNCH_KINDS)}
        names = list(RUNTIMES)
        return cls(
            torch.tensor([index[kind] for one in launches for kind in one.kinds]),
            torch.from_numpy(np.concatenate([one.sizes for one in launches])).float(),
            torch.from_numpy(np.concatenate([one.counts for one in launches])).float(),
            torch.repeat_interleave(torch.arange(len(launches)), torch.tensor(lengths)),
            torch.tensor(devices, dtype=torch.float32),
            torch.tensor([names.index(name) for name in runtimes]),
        )


def device_numbers(device: Device, precision: str) -> tuple[float, ...]:
    """What the model knows of a device at a precision.

    Peak of products and of all else (FLOP/ms), bytes that its SMs can touch, bandwidth (both
    bytes/ms), L2 (bytes), SMs, how many
    times 512 FLOPs an SM does per cycle, watts per TFLOPS, 0 half, 1 tf32 or 2 fp32, and whether
    its host is older and whether it is embedded.
    """
    half = device.tflops.get("fp16", device.tflops["fp32"])
    name = "fp16" if precision == "amp" else precision
    peak = device.tflops.get(name, half)
    clock = device.sms * device.boost_mhz * 1e6  # cycles of all SMs in a second
    return (
        peak * 1e9,
        clock * _LANES / 1e3,
        clock * _ISSUED_BYTES / 1e3,
        device.bandwidth_gb_s * 1e6,
        device.l2_mib * 2**20,
        float(device.sms),
        max(half * 1e12 / clock / 512, 0.5),
        device.power_w / half,
        0.0 if precision in HALF else 1.0 if precision == "tf32" else 2.0,
        float(device.architecture in _OLDER and device.host != "embedded"),
        float(device.host == "embedded"),
    )


PRODUCTS = tuple(
    kind for kind in LAUNCH_KINDS if kind.removesuffix("_nhwc").removeprefix("masked_") in TENSOR
)
_IS_TENSOR = torch.tensor([kind in PRODUCTS for kind in LAUNCH_KINDS])
_IS_CONVOLUTION = torch.tensor(
    [kind.removesuffix("_nhwc") in _CONVOLUTIONS for kind in LAUNCH_KINDS]
)


def launch_times(parameters: Parameters, batch: Batch) -> tuple[Tensor, Tensor]:
    """Milliseconds that each launch computes and moves memory, both (n,); counts left aside."""
    flops, read, written, groups, m, n, k, area = batch.columns
    peak, plain, issue, bandwidth, l2, sms, intensity, watts, precision, *_ = batch.devices
    efficiency, half_n, half_k, r, w = parameters.kinds.exp()[batch.kind].T
    common = dict(zip(COMMON, parameters.common, strict=True))
    tensor, convolution = _IS_TENSOR[batch.kind], _IS_CONVOLUTION[batch.kind]

    odd = ((n % 8 != 0) | ((k / area.clamp(min=1)) % 8 != 0)) & (precision == 0)
    loss = (odd & tensor) * torch.where(
        convolution, common["odd_convolution"], common["odd_product"]
    )
    large = torch.relu(torch.log(area.clamp(min=1) / _WINDOW))
    loss = loss - ~tensor * common["window"] * large
    loss = loss + tensor * torch.where(precision == 1, common["tf32"], 0.0)
    loss = loss + tensor * torch.where(precision == 2, common["fp32"], 0.0)
    on_tensor_cores = (precision < 2) & tensor
    short = torch.relu(torch.log(1.3 / watts))
    loss = loss - on_tensor_cores * common["intensity"] * torch.log(intensity)
    loss = loss - on_tensor_cores * common["throttle"] * short
    shaped = efficiency * (n / (n + half_n)) * (k / (k + half_k)) * torch.exp(loss)
    tiles = torch.ceil(m / _TILE) * torch.ceil(n / _TILE) * groups.clamp(min=1)
    filling = 1 + common["wave"].exp() * sms / tiles.clamp(min=1)
    rate = torch.where(tensor, peak * shaped.clamp(min=1e-6), plain * efficiency * loss.exp())
    issued = (read + written) / (issue * efficiency * torch.where(precision == 2, 2.0, 1.0))
    compute = torch.where(flops > 0, flops / rate * filling, issued)

    footprint = (read + written) / (common["l2_share"].exp() * l2)
    cached = 1 / (1 + footprint**3)
    speed = (1 - cached) + cached / (1 + common["l2_speed"].exp())
    memory = (read * r + written * w) / bandwidth * speed
    return compute, memory


def overlapped(parameters: Parameters, compute: Tensor, memory: Tensor) -> Tensor:
    """Milliseconds of launches that compute and move memory at once."""
    p = 1 + parameters.common[COMMON.index("overlap")].exp()
    return ((compute + 1e-9) ** p + (memory + 1e-9) ** p) ** (1 / p)


def device_and_host(
    parameters: Parameters, batch: Batch, device_factor: Tensor | float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Milliseconds of each network on the device, on the host, and fixed ones, each (s,).

    Args:
        parameters: The model's.
        batch: The networks.
        device_factor: Logarithm of a factor on the kernels of each network, (s,).
    """
    times = overlapped(parameters, *launch_times(parameters, batch))
    gap, host, fixed = parameters.runtimes[batch.runtime].exp().T
    host = host * host_slowness(parameters, batch.device)
    factor = (parameters.factors[family_of(batch)] + device_factor).exp()
    rows = (times * factor[batch.sample] + gap[batch.sample]) * batch.counts
    zero = torch.zeros(len(batch.device))
    launched = zero.index_add(0, batch.sample, batch.counts)
    return zero.index_add(0, batch.sample, rows), launched * host, fixed


def host_slowness(parameters: Parameters, device: Tensor) -> Tensor:
    """How much longer the host of each device needs than a server's of today, (s,)."""
    older, embedded = (
        parameters.common[COMMON.index(name)] for name in ("older_host", "embedded_host")
    )
    return (device[:, 9] * older + device[:, 10] * embedded).exp()


_FAMILY_OF = torch.tensor([FAMILIES.index(runtime.family) for runtime in RUNTIMES.values()])


def family_of(batch: Batch) -> Tensor:
    """Position of each network's family of runtimes, (s,)."""
    return _FAMILY_OF[batch.runtime]


def whole(device_ms: Tensor, host_ms: Tensor, fixed_ms: Tensor) -> Tensor:
    """A network's milliseconds: the slower of device and host, and what comes once."""
    longest = (device_ms**_PIPELINE + host_ms**_PIPELINE) ** (1 / _PIPELINE)
    return longest + fixed_ms


def whole_ms(
    device_ms: NDArray[np.float64], host_ms: NDArray[np.float64], fixed_ms: float
) -> NDArray[np.float64]:
    """The same for populations."""
    longest = np.maximum(device_ms, host_ms)
    shorter = np.minimum(device_ms, host_ms)
    return np.asarray(
        longest * (1 + (shorter / longest) ** _PIPELINE) ** (1 / _PIPELINE) + fixed_ms
    )
