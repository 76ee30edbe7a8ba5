"""Networks as ONNX models: `onnx_bytes` exports a module, `session` runs a model.

A model has one input, `images` (batch, C, H, W), and one output, `scores` (batch, classes). The
packages it takes are those of the extra `onnx`; they are imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import ExportError, missing_extra

INPUT, OUTPUT = "images", "scores"
EXTRA = "onnx"
EXPORTER, RUNTIME = ("onnx", "onnxscript"), "onnxruntime"
"""Packages that export a module, and the one that runs a model."""


def onnx_bytes(
    module: nn.Module, example: Tensor, *, any_batch: bool = False, name: str = "This network"
) -> bytes:
    """A module as an ONNX model.

    Args:
        module: Any module that takes one tensor, in evaluation mode.
        any_batch: Whether it takes other batch sizes too. The example then has two images or
            more: the exporter fixes a size of one.

    Raises:
        MissingExtraError: the exporter is not installed.
        ExportError: the module cannot be exported.
    """
    for package in EXPORTER:
        required(package, "Export to ONNX")
    shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of the exporter's own libraries
            with torch.inference_mode(False), torch.no_grad():
                program = torch.onnx.export(
                    module,
                    (example.clone(),),
                    dynamo=True,
                    input_names=[INPUT],
                    output_names=[OUTPUT],
                    dynamic_shapes=shapes,
                    verbose=False,
                )
    except Exception as error:  # whatever the exporter raises
        raise ExportError(f"{name} cannot be exported to ONNX: {error}") from error
    assert program is not None  # only without dynamo
    return bytes(program.model_proto.SerializeToString())


def session(model: bytes, threads: int = 0) -> Any:
    """A model in onnxruntime on the processor: `session.run([OUTPUT], {INPUT: array})`.

    Args:
        threads: How many it runs on; 0 leaves it to onnxruntime.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ExportError: onnxruntime refuses the model.
    """
    runtime = required(RUNTIME, "Running an ONNX model")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception as error:  # whatever it raises of a model
        said = str(error).rstrip(".")
        raise ExportError(
            f"onnxruntime cannot run this network: {said}. Choose another runtime or format."
        ) from error


def required(package: str, purpose: str) -> Any:
    """An optional package, imported.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise missing_extra(package, EXTRA, purpose) from error
