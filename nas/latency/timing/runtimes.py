"""Making a network ready to be timed in a runtime.

    eager        the module as it is
    compile      torch.compile: Inductor writes C++ and a compiler builds it, 10-40 s per network
    onnxruntime  exported to ONNX in memory and optimised by onnxruntime, 2-4 s per network

Input shapes are fixed, as for a network that is deployed at one resolution and batch. GPUs also
run CUDA graphs, see `gpu.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import ExportError, MissingExtraError
from nas.latency.target import Target
from nas.latency.timing.onnx import INPUT, OUTPUT, RUNTIME, onnx_bytes, required, session
from nas.progress import Progress

Prepared = Callable[[Tensor], object]
"""Runs a network on images, (B, C, H, W) channels-last float32."""

_FULL = re.compile(r"(CUDA|HIP).*out of memory|_ALLOC\w*_FAILED")
"""Messages of CUDA's libraries, such as CUBLAS_STATUS_ALLOC_FAILED."""


def prepare(module: nn.Module, example: Tensor, target: Target) -> Prepared:
    """A network that is fully built for the target's runtime and ready to be timed.

    Call it under the conditions of the timing: inference mode and the target's threads.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run this network.
    """
    if target.runtime == "onnxruntime":
        return _Session(module, example, target.thread_count)
    if target.runtime == "compile":
        _require_compiler()
        return compiled(module, example)
    return module


def prepare_all(
    modules: Sequence[nn.Module], examples: Sequence[Tensor], target: Target, progress: Progress
) -> list[Prepared]:
    """Prepare several networks, with a progress bar for runtimes that build them."""
    if target.runtime == "eager":
        return list(modules)
    what = "Compiling networks" if target.runtime == "compile" else "Exporting networks"
    prepared = []
    with progress.task(what, len(modules)) as advance:
        for module, example in zip(modules, examples, strict=True):
            prepared.append(prepare(module, example, target))
            advance(len(prepared), str(target.runtime))
    return prepared


class _Session:
    """A network in onnxruntime."""

    def __init__(self, module: nn.Module, example: Tensor, threads: int) -> None:
        required(RUNTIME, "The runtime 'onnxruntime'")  # before minutes of exporting
        self._session = session(onnx_bytes(module, example), threads)
        self._given: Tensor | None = None
        self._array = np.empty(0, dtype=np.float32)

    def __call__(self, images: Tensor) -> object:
        """Run. New images are first copied into onnxruntime's layout."""
        if images is not self._given:
            self._given, self._array = images, np.ascontiguousarray(images.numpy())
        return self._session.run([OUTPUT], {INPUT: self._array})


def compiled(
    module: nn.Module, example: Tensor, compiler: Callable[..., Prepared] | None = None
) -> Prepared:
    """A network compiled for inputs like the example.

    Args:
        module: Any module that takes one tensor.
        example: An input with the shape and layout of all later inputs.
        compiler: `torch.compile`, or a function with its arguments.

    Raises:
        ExportError: the module cannot be compiled.
    """

    def network(images: Tensor) -> object:
        return module(images)

    # Torch caches compiled code by code object, and gives up after eight versions of one.
    network.__code__ = network.__code__.replace(co_name=f"network_{id(module)}")
    built = (compiler or torch.compile)(network, dynamic=False, fullgraph=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler comments on its own choices
            built(example)
    except Exception as error:  # whatever the compiler raises
        if memory_full(error):
            raise
        raise ExportError(
            f"This network cannot be compiled: {error}. Choose another --runtime."
        ) from error
    return built


def memory_full(error: BaseException | None) -> bool:
    """Whether the first cause of an error is that a GPU's memory was full."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or _FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _require_compiler() -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise MissingExtraError(
            f"The runtime 'compile' needs the C++ compiler '{compiler}', which is not installed. "
            "Install it (`apt install g++`), name another one in the environment variable CXX, "
            "or choose another --runtime."
        )
