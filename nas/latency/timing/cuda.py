"""All that is asked of CUDA: which GPUs are here, how long work takes on one, its clocks.

Torch only, and `nvidia-smi` for what torch does not tell; nothing here is needed where there is no
GPU. Timed is from an event before the work to one after it, with nothing else under way: what
launching takes counts where the GPU waits for it, as it does in eager networks of a small batch.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from nas.latency.devices import find

WARM_UPS = 3
"""Runs before a capture: libraries choose their kernels and get their workspaces in these."""
_UNDESCRIBED = (
    "no device file describes it: `nas hardware add` takes one, with that name among its aliases"
)
_ASKED = {
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "power_w": "power.draw",
    "temperature_c": "temperature.gpu",
    "driver": "driver_version",
}
_SECONDS = 10.0
"""After which `nvidia-smi` is taken not to answer."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use."""

    index: int
    title: str
    """As the driver calls it: NVIDIA A100-SXM4-80GB."""
    device: str | None
    """As `--hardware` calls it; None where no device file does."""
    sms: int
    memory_mib: int
    l2_mib: float
    uuid: str

    def __str__(self) -> str:
        return f"{self.title} ({f'--hardware {self.device}' if self.device else _UNDESCRIBED})"


def gpus() -> list[Gpu]:
    """The GPUs at hand, in torch's order; `CUDA_VISIBLE_DEVICES` chooses among them."""
    if not torch.cuda.is_available():
        return []
    return [_gpu(index) for index in range(torch.cuda.device_count())]


class CudaClock:
    """Times work on one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.device = gpu, torch.device("cuda", gpu.index)
        with torch.cuda.device(self.device):
            self._begin, self._end = _event(), _event()
            # Graphs may share memory: none runs beside another one, and no result is looked at.
            self._pool = torch.cuda.graph_pool_handle()
            self._aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._last: torch.cuda.CUDAGraph | None = None

    @contextlib.contextmanager
    def ready(self, tf32: bool) -> Iterator[None]:
        """Work goes to this GPU, with cuDNN's fastest kernels; all put back.

        Args:
            tf32: Whether products of single-precision numbers may be in TF32.
        """
        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        before = products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark
        products.allow_tf32 = convolutions.allow_tf32 = tf32
        convolutions.benchmark = True  # as in the published tables of timm
        try:
            with torch.cuda.device(self.device):
                yield
        finally:
            products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = before

    def ms(self, run: Callable[[], object]) -> float:
        """Milliseconds that it takes, from nothing under way until all of it is done."""
        torch.cuda.synchronize()
        self._begin.record()
        run()
        self._end.record()
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end))

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        """The same kernels as one CUDA graph, on the memory that they are given now."""
        self._aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._aside):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(self._aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._aside):
            run()
        self._last = graph  # memory whose graphs are all gone cannot be captured into again
        return graph.replay

    def forget(self) -> None:
        """Give memory that nothing uses back to the GPU."""
        torch.cuda.empty_cache()

    def facts(self) -> dict[str, Any]:
        """What the GPU is."""
        return {
            "model": self.gpu.title,
            "sms": self.gpu.sms,
            "memory_mib": self.gpu.memory_mib,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }

    def state(self) -> dict[str, Any]:
        """Clocks, power, temperature and driver, as far as `nvidia-smi` tells."""
        lines = self._smi(f"--query-gpu={','.join(_ASKED.values())}")
        if len(lines) != 1:
            return {}
        return {
            name: _number(value) for name, value in zip(_ASKED, lines[0].split(","), strict=False)
        }

    def others(self) -> int:
        """How many other programs compute on the GPU, as far as `nvidia-smi` tells."""
        return max(0, len(self._smi("--query-compute-apps=pid")) - 1)  # this one is among them

    def _smi(self, query: str) -> list[str]:
        """Its answer of this GPU, a line each; none where it does not answer."""
        command = ["nvidia-smi", query, "--format=csv,noheader,nounits", f"--id={self.gpu.uuid}"]
        try:
            answer = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=_SECONDS
            )
        except (OSError, subprocess.SubprocessError):
            return []
        return [line for line in answer.stdout.splitlines() if line.strip()]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _gpu(index: int) -> Gpu:
    facts = torch.cuda.get_device_properties(index)
    uuid = str(facts.uuid)
    return Gpu(
        index=index,
        title=facts.name,
        device=_called(facts.name),
        sms=facts.multi_processor_count,
        memory_mib=facts.total_memory // 2**20,
        l2_mib=facts.L2_cache_size / 2**20,
        uuid=uuid if uuid.startswith("GPU-") else f"GPU-{uuid}",
    )


def _called(title: str) -> str | None:
    """The device that the driver calls so, with or without its maker's words."""
    short = title.removeprefix("NVIDIA ").removeprefix("GeForce ")
    path = find(title) or find(short)
    return None if path is None else path.stem


def _number(text: str) -> float | str | None:
    """What `nvidia-smi` says, which is `[N/A]` or the like where it does not know."""
    text = text.strip()
    try:
        return float(text)
    except ValueError:
        return None if text.startswith("[") or not text else text
