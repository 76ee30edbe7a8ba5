"""Everything that asks CUDA something: which GPUs are here, how long work takes, their clocks.

Uses torch, and `nvidia-smi` for what torch does not tell. Times are those between two CUDA events
on an otherwise idle GPU: launching counts where the GPU has to wait for it, as it does in eager
networks with a small batch.
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
"""Runs before a capture, in which libraries choose their kernels and allocate workspaces."""
_UNDESCRIBED = (
    "no device file describes it: `nas hardware add` takes one, with that name among its aliases"
)
_QUERIES = {
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "power_w": "power.draw",
    "temperature_c": "temperature.gpu",
    "driver": "driver_version",
}
_PATIENCE_S = 10.0
"""How long to wait for `nvidia-smi`."""


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use."""

    index: int
    title: str
    """The driver's name for it: NVIDIA A100-SXM4-80GB."""
    device: str | None
    """Its name for `--hardware`; None if no device file describes it."""
    sms: int
    memory_mib: int
    l2_mib: float
    uuid: str

    def __str__(self) -> str:
        return f"{self.title} ({f'--hardware {self.device}' if self.device else _UNDESCRIBED})"


def gpus(cuda: Any = torch.cuda) -> list[Gpu]:
    """The GPUs at hand in torch's order; `CUDA_VISIBLE_DEVICES` chooses among them."""
    if not cuda.is_available():
        return []
    properties = map(cuda.get_device_properties, range(cuda.device_count()))
    return [_gpu(index, one) for index, one in enumerate(properties)]


class NvidiaSmi:
    """What the command `nvidia-smi` says of one GPU; nothing if the command does not answer."""

    def __init__(
        self, uuid: str, run: Callable[..., subprocess.CompletedProcess[str]] | None = None
    ) -> None:
        self._uuid, self._run = uuid, run or subprocess.run

    def state(self) -> dict[str, Any]:
        """Clocks, power, temperature and driver."""
        lines = self._lines(f"--query-gpu={','.join(_QUERIES.values())}")
        if len(lines) != 1:
            return {}
        values = zip(_QUERIES, lines[0].split(","), strict=False)
        return {name: _number(value) for name, value in values}

    def programs(self) -> int:
        """How many programs compute on the GPU; 0 if that is not known."""
        return len(self._lines("--query-compute-apps=pid"))

    def _lines(self, query: str) -> list[str]:
        command = ["nvidia-smi", query, "--format=csv,noheader,nounits", f"--id={self._uuid}"]
        try:
            answer = self._run(
                command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S
            )
        except (OSError, subprocess.SubprocessError):
            return []
        return [line for line in answer.stdout.splitlines() if line.strip()]


class CudaClock:
    """Times work on one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.device = gpu, torch.device("cuda", gpu.index)
        self._smi = NvidiaSmi(gpu.uuid)
        with torch.cuda.device(self.device):
            self._begin, self._end = _event(), _event()
            # Graphs may share memory: they never run at the same time, and nobody reads results.
            self._pool = torch.cuda.graph_pool_handle()
            self._aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._last: torch.cuda.CUDAGraph | None = None

    @contextlib.contextmanager
    def ready(self, tf32: bool) -> Iterator[None]:
        """Work goes to this GPU and uses cuDNN's fastest kernels; restored afterwards."""
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
        """Milliseconds from an idle GPU until all work of `run` is done."""
        torch.cuda.synchronize()
        self._begin.record()
        run()
        self._end.record()
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end))

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        """The launches of `run` as one CUDA graph, on the memory that they use now."""
        self._aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._aside):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(self._aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._aside):
            run()
        self._last = graph  # a pool without any living graph cannot be captured into again
        return graph.replay

    def forget(self) -> None:
        """Return unused memory to the GPU."""
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
        return self._smi.state()

    def programs(self) -> int:
        """How many programs compute on the GPU, as far as `nvidia-smi` tells."""
        return self._smi.programs()


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _gpu(index: int, properties: Any) -> Gpu:
    uuid = str(properties.uuid)
    return Gpu(
        index=index,
        title=properties.name,
        device=_device_of(properties.name),
        sms=properties.multi_processor_count,
        memory_mib=properties.total_memory // 2**20,
        l2_mib=properties.L2_cache_size / 2**20,
        uuid=uuid if uuid.startswith("GPU-") else f"GPU-{uuid}",
    )


def _device_of(title: str) -> str | None:
    """The device with this title, with or without the words NVIDIA and GeForce."""
    short = title.removeprefix("NVIDIA ").removeprefix("GeForce ")
    path = find(title) or find(short)
    return None if path is None else path.stem


def _number(text: str) -> float | str | None:
    """A value of `nvidia-smi`, which writes `[N/A]` or similar for an unknown one."""
    text = text.strip()
    try:
        return float(text)
    except ValueError:
        return None if text.startswith("[") or not text else text
