"""Milliseconds of launches on a GPU, from its data sheet and a few hundred fitted numbers.

A launch computes and moves memory at the same time, and neither hides the other entirely:

    t          = (compute^p + memory^p)^(1/p)
    compute    = FLOPs / (peak e) (1 + w i SMs / tiles), or bytes / (what the SMs can touch e)
    memory     = (r bytes read + s bytes written) / bandwidth, faster where they fit the L2 cache
    e          = e_kind n / (n + n_kind) k / (k + i k_kind), less where power is short and where
                 sizes are no multiples of 8
    i          = FLOPs of an SM's tensor cores per cycle / 512: the faster they are, the more of
                 the time goes into filling them
    tiles      = ceil(m / 128) ceil(n / 128) groups of a product or convolution

A network takes the longer of what the device needs and what the host needs to launch it:

    ms         = ((sum of factor t + gap)^8 + (launches host)^8)^(1/8) + fixed

`factor`, `gap`, `host` and `fixed` belong to the runtime, everything else to the GPU, of which
only the data sheet is known. Fitted in `fit/`. Rooflines: Williams et al. 2009,
https://doi.org/10.1145/1498765.1498785; waves and tiles: NeuSight, https://arxiv.org/abs/2407.13853
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.latency.devices import Device
from nas.latency.gpu.fusion import Fusion
from nas.latency.gpu.launches import LAUNCH_KINDS, Launches

TENSOR = ("stem", "pointwise", "convolution", "grouped", "product", "batched_product", "attention")
_CONVOLUTIONS = ("stem", "pointwise", "convolution", "grouped")
_TILE = 128
_LANES = 128
"""FLOPs per cycle that an SM without its tensor cores offers to work other than products. Chips
that can do twice as many have no more paths to memory for them."""
_ISSUED_BYTES = 32
"""Bytes per cycle, about, that element-wise work in half precision touches on an SM."""
_WINDOW = 25
"""Area of a window up to which libraries have special programs for depthwise convolutions."""
_PIPELINE = 8.0
_PROCESS_NM = {"maxwell": 20, "pascal": 16, "volta": 12, "turing": 12, "ampere": 8}
_NEWEST_NM = 5
"""The manufacturing process of other architectures, as TSMC and Samsung name theirs."""
_WATTS = 0.25
"""Power per TFLOPS and nanometre that tensor cores need to hold their clock, about."""
PER_KIND = ("efficiency", "half_n", "half_k", "read", "write")
PER_FAMILY = ("half", "more")
PER_RUNTIME = ("factor", "gap_ms", "host_ms", "fixed_ms")
LOSSES = (
    *("throttle", "tf32", "fp32", "odd_product", "outdated_odd_product", "odd_convolution"),
    "window",
)
"""Odd sizes are no multiples of 8; the libraries of PyTorch 1 had no fast programs for them."""
COMMON = (
    *("overlap", "l2_speed", "l2_share", "wave", "older_host", "embedded_host"),
    *LOSSES,
)
_OLDER = ("pascal", "volta", "turing", "maxwell")
"""Architectures whose boards sit in machines with older processors."""


@dataclass(frozen=True)
class Runtime:
    """How a runtime launches: what it fuses, and which family's factor it has."""

    fusion: Fusion
    family: str
    """Runtimes of one family share a factor."""
    pipelined: bool = False
    """Whether the host launches one operation after the other."""


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
    "fastertransformer": Runtime("handwritten", "fastertransformer"),
    "fastertransformer-op": Runtime("handwritten", "fastertransformer"),
    "fastertransformer-plugin": Runtime("handwritten", "fastertransformer"),
    "kernel": Runtime("none", "kernel"),
}


OUTDATED = ("torch1", "jit")
"""Families of runtimes that nobody uses any more."""
_IS_OUTDATED = torch.tensor([runtime.family in OUTDATED for runtime in RUNTIMES.values()])


def way_of(runtime: str) -> str:
    """`launched`: a runtime launches operations as they come; `fused`: it fuses them first."""
    return "launched" if RUNTIMES[runtime].fusion == "none" else "fused"


FAMILIES = tuple(dict.fromkeys(runtime.family for runtime in RUNTIMES.values()))
HALF = ("fp16", "bf16", "amp")


@dataclass(frozen=True)
class Parameters:
    """Logarithms of all that is fitted."""

    kinds: Tensor
    """(kinds, 5) in the order of LAUNCH_KINDS and PER_KIND."""
    common: Tensor
    """(13,) in the order of COMMON."""
    factors: Tensor
    """(families, 2): of launches in half precision, and what others take more than those."""
    runtimes: Tensor
    """(runtimes, 4) in the order of PER_RUNTIME; a runtime's factor is on top of its family's."""


@dataclass(frozen=True)
class Batch:
    """Launches of several networks, each on its own device and runtime.

    Rows (n) are launches, samples (s) are networks.
    """

    kind: Tensor
    """(n,)"""
    sizes: Tensor
    """(n, 8), see `Launches.sizes`"""
    counts: Tensor
    """(n,)"""
    sample: Tensor
    """The network that each row belongs to, (n,)."""
    device: Tensor
    """(s, 11), see `device_numbers`"""
    runtime: Tensor
    """(s,)"""

    @cached_property
    def known(self) -> _Known:
        """All that does not depend on what is fitted; fitting reads it hundreds of times."""
        return _known(self)

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
    bytes/ms), L2 (bytes), SMs, how many times 512 FLOPs an SM does per cycle, the logarithm of
    how short of power its tensor cores are, 0 half, 1 tf32 or 2 fp32, whether its host is older,
    and whether it is embedded.
    """
    half = device.tflops.get("fp16", device.tflops["fp32"])
    name = "fp16" if precision == "amp" else precision
    peak = device.tflops.get(name, half)
    clock = device.sms * device.boost_mhz * 1e6  # cycles of all SMs in a second
    needed = _WATTS * _PROCESS_NM.get(device.architecture, _NEWEST_NM) * half
    return (
        peak * 1e9,
        clock * _LANES / 1e3,
        clock * _ISSUED_BYTES / 1e3,
        device.bandwidth_gb_s * 1e6,
        device.l2_mib * 2**20,
        float(device.sms),
        max(half * 1e12 / clock / 512, 0.5),
        max(math.log(needed / device.power_w), 0.0),
        0.0 if precision in HALF else 1.0 if precision == "tf32" else 2.0,
        float(device.architecture in _OLDER and device.host != "embedded"),
        float(device.host == "embedded"),
    )


TERMS = ("products", "depthwise", "memory", "launches", "host")
"""A predicted time is the sum of these."""
PRODUCTS = tuple(
    kind for kind in LAUNCH_KINDS if kind.removesuffix("_nhwc").removeprefix("masked_") in TENSOR
)
_IS_TENSOR = torch.tensor([kind in PRODUCTS for kind in LAUNCH_KINDS])
_IS_ATTENTION = torch.tensor(["attention" in kind for kind in LAUNCH_KINDS])
"""Attention pads what is no multiple of 8."""
_IS_CONVOLUTION = torch.tensor(
    [kind.removesuffix("_nhwc") in _CONVOLUTIONS for kind in LAUNCH_KINDS]
)


class _Known(NamedTuple):
    """What follows from launches and their devices alone, each (n,)."""

    compute: Tensor
    """Milliseconds of computing at the peak, or of touching every byte."""
    read: Tensor
    written: Tensor
    """Milliseconds of moving memory at full bandwidth."""
    per_n: Tensor
    per_k: Tensor
    """1 / n and i / k of a product"""
    filling: Tensor
    """i SMs / tiles"""
    footprint: Tensor
    """(bytes / L2)^3"""
    losses: Tensor
    """(n, 7) in the order of LOSSES: how much of each comes off the logarithm of the rate."""


def _known(batch: Batch) -> _Known:
    flops, read, written, groups, m, n, k, area = batch.sizes.T.contiguous()
    devices = batch.device[batch.sample].T.contiguous()
    peak, plain, issue, bandwidth, l2, sms, intensity, shortage, precision, *_ = devices
    tensor, convolution, attention = (
        mask[batch.kind] for mask in (_IS_TENSOR, _IS_CONVOLUTION, _IS_ATTENTION)
    )
    computes, moved = flops > 0, read + written
    odd = ((n % 8 != 0) | ((k / area.clamp(min=1)) % 8 != 0)) & (precision == 0) & tensor
    losses = [
        -shortage * (tensor & (precision < 2)),
        tensor & (precision == 1),
        tensor & (precision == 2),
        odd & ~convolution & ~attention,
        odd & ~convolution & ~attention & _IS_OUTDATED[batch.runtime][batch.sample],
        odd & convolution,
        -torch.relu(torch.log(area.clamp(min=1) / _WINDOW)) * ~tensor,
    ]
    tiles = torch.ceil(m / _TILE) * torch.ceil(n / _TILE) * groups.clamp(min=1)
    touching = moved / issue * torch.where(precision == 2, 0.5, 1.0)
    return _Known(
        compute=torch.where(computes, flops / torch.where(tensor, peak, plain), touching),
        read=read / bandwidth,
        written=written / bandwidth,
        per_n=tensor / n.clamp(min=1),
        per_k=tensor * intensity / k.clamp(min=1),
        filling=computes * intensity * sms / tiles.clamp(min=1),
        footprint=(moved / l2) ** 3,
        losses=torch.stack([loss.float() for loss in losses], dim=1) * computes[:, None],
    )


def launch_times(parameters: Parameters, batch: Batch) -> tuple[Tensor, Tensor]:
    """Milliseconds that each launch computes and moves memory if it runs once, both (n,)."""
    known = batch.known
    efficiency, half_n, half_k, r, w = parameters.kinds.exp().index_select(0, batch.kind).T
    common = dict(zip(COMMON, parameters.common, strict=True))
    rate = efficiency * torch.exp(known.losses @ parameters.common[-len(LOSSES) :])
    shape = (1 + half_n * known.per_n) * (1 + half_k * known.per_k)
    compute = known.compute / rate * shape * (1 + common["wave"].exp() * known.filling)

    cached = 1 / (1 + known.footprint * torch.exp(-3 * common["l2_share"]))
    speed = (1 - cached) + cached / (1 + common["l2_speed"].exp())
    return compute, (known.read * r + known.written * w) * speed


def overlapped(parameters: Parameters, compute: Tensor, memory: Tensor) -> Tensor:
    """Milliseconds of launches that compute and move memory at the same time."""
    p = 1 + parameters.common[COMMON.index("overlap")].exp()
    return ((compute + 1e-9) ** p + (memory + 1e-9) ** p) ** (1 / p)


def device_and_host(
    parameters: Parameters, batch: Batch, device_factor: Tensor | float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Milliseconds of each network on the device, on the host, and fixed ones, each (s,).

    Args:
        device_factor: Logarithm of a factor on the launches of each network, (s,).
    """
    times = overlapped(parameters, *launch_times(parameters, batch))
    _, gap, host, fixed = parameters.runtimes[batch.runtime].exp().T
    host = host * host_slowness(parameters, batch.device)
    factor = (runtime_factor(parameters, batch.runtime, batch.device[:, 8]) + device_factor).exp()
    rows = (times * factor[batch.sample] + gap[batch.sample]) * batch.counts
    zero = torch.zeros(len(batch.device))
    launched = zero.index_add(0, batch.sample, batch.counts)
    return zero.index_add(0, batch.sample, rows), launched * host, fixed


def host_slowness(parameters: Parameters, device: Tensor) -> Tensor:
    """How many times longer the host of each device takes than a server of today, (s,)."""
    older, embedded = (
        parameters.common[COMMON.index(name)] for name in ("older_host", "embedded_host")
    )
    return (device[:, 9] * older + device[:, 10] * embedded).exp()


_FAMILY_OF = torch.tensor([FAMILIES.index(runtime.family) for runtime in RUNTIMES.values()])


def runtime_factor(parameters: Parameters, runtime: Tensor, precision: Tensor) -> Tensor:
    """Logarithm of each runtime's factor on its launches, (s,).

    Args:
        runtime: Positions in RUNTIMES, (s,).
        precision: 0 for half precision, (s,).
    """
    factors = parameters.factors[_FAMILY_OF[runtime]]
    own = parameters.runtimes[runtime][..., 0]
    return factors[..., 0] + factors[..., 1] * (precision > 0) + own


def total(device_ms: Tensor, host_ms: Tensor, fixed_ms: Tensor) -> Tensor:
    """A network's milliseconds: the slower of device and host, and what every network takes."""
    longest = (device_ms**_PIPELINE + host_ms**_PIPELINE) ** (1 / _PIPELINE)
    return longest + fixed_ms


def total_ms(
    device_ms: NDArray[np.float64], host_ms: NDArray[np.float64], fixed_ms: float
) -> NDArray[np.float64]:
    """The same in NumPy, for populations."""
    longest = np.maximum(device_ms, host_ms)
    shorter = np.minimum(device_ms, host_ms)
    return np.asarray(
        longest * (1 + (shorter / longest) ** _PIPELINE) ** (1 / _PIPELINE) + fixed_ms
    )
