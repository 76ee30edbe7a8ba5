from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import ExportError, MissingExtraError
from nas.latency.timing.onnx import EXPORTER, RUNTIME, onnx_bytes, required, session


@pytest.fixture(autouse=True)
def _installed() -> None:
    for package in (*EXPORTER, RUNTIME):
        pytest.importorskip(package)


def test_a_model_takes_the_examples_batch_or_any() -> None:
    module, example = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    for any_batch, batch in ((False, 2), (True, 2), (True, 5)):
        model = session(onnx_bytes(module, example, any_batch=any_batch), threads=1)
        images = torch.randn(batch, 4)
        (scores,) = model.run(["scores"], {"images": images.numpy()})
        np.testing.assert_allclose(scores, module(images).detach().numpy(), atol=1e-6)


def test_exporting_works_within_inference_mode() -> None:
    with torch.inference_mode():
        assert onnx_bytes(nn.Linear(4, 3).eval(), torch.randn(2, 4))


def test_a_model_that_onnxruntime_refuses_is_told() -> None:
    with pytest.raises(ExportError, match="onnxruntime cannot run this network: .*Choose another"):
        session(b"no model")


def test_a_missing_package_names_its_purpose_and_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"Export needs 'no_such_package'.*\[onnx\]"):
        required("no_such_package", "Export")
