"""What is known of a device, and what it can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RUNTIMES = {
    "gpu": ("eager", "compile", "cuda-graph", "tensorrt", "onnxruntime"),
    "cpu": ("eager", "onnxruntime", "compile"),
}
"""By kind of device; the first is the default."""

LAYOUTS = {
    "gpu": ("channels_last", "channels_first"),
    # Networks convert their inputs to channels-last.
    "cpu": ("channels_last",),
}
BOARD_RUNTIMES = ("onnxruntime",)
"""What a board runs: this program does not run there, only the networks of a kit do."""
CPU_PRECISIONS = ("fp32",)
"""Most processors only emulate bfloat16 in eager mode, so it is not offered."""


@dataclass(frozen=True)
class Device:
    """A device; the first of its runtimes, precisions and layouts is the default.

    A number that is not known is 0, as all numbers of `cpu` are, which is measured instead.
    """

    name: str
    title: str
    kind: str
    """gpu, cpu (the one at hand) or board (measured with a kit)"""
    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    layouts: tuple[str, ...]
    architecture: str = ""
    """Of the chip: ampere, ada, hopper, ..."""
    host: str = ""
    """The kind of machine that it is in: server, workstation or embedded."""
    tflops: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Dense peak by precision, with sums in 32 bits as in PyTorch; fp32 is without tensor cores.
    A precision that the device lacks is missing."""
    bandwidth_gb_s: float = 0.0
    """Peak of the memory, 1e9 bytes per second."""
    l2_mib: float = 0.0
    memory_gib: float = 0.0
    sms: int = 0
    """Streaming multiprocessors."""
    cores: int = 0
    """Of a board: processor cores that run one operation."""
    boost_mhz: float = 0.0
    power_w: float = 0.0
    aliases: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The source of each number by its name, such as `tflops.fp16`."""

    @property
    def numbers(self) -> dict[str, float]:
        """All numbers that have a source, by name; `cpu` has none."""
        return {name: self._number(name) for name in self.sources}

    def _number(self, name: str) -> float:
        whole, _, precision = name.partition(".")
        number: float = self.tflops[precision] if precision else getattr(self, whole)
        return number


def gpu_precisions(tflops: Mapping[str, float]) -> tuple[str, ...]:
    """The precisions of a GPU with these peaks, the fastest first; amp mixes fp16 with fp32."""
    order = {"fp16": "fp16", "amp": "fp16", "bf16": "bf16", "tf32": "tf32", "fp32": "fp32"}
    return tuple(name for name, needs in order.items() if needs in tflops)


def base_of(name: str) -> str:
    """The device without its variant: `a100` for a100-pcie-40gb."""
    return name.partition("-")[0]
