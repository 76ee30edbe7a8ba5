from __future__ import annotations

from pathlib import Path

import pytest

from nas.export import FORMATS, DataDescription, ExportError, export_network
from nas.latency.timing.onnx import session
from search_spaces import Network

pytestmark = pytest.mark.skipif(bool(FORMATS["onnx"].missing), reason="the extra onnx is missing")


def test_the_model_names_its_input_and_output_and_fixes_all_but_the_batch(
    plain: Network, data: DataDescription, tmp_path: Path
) -> None:
    export_network(plain, tmp_path, data=data, scores={}, formats=("onnx",))
    model = session((tmp_path / "model.onnx").read_bytes())
    (images,), (scores,) = model.get_inputs(), model.get_outputs()
    assert (images.name, scores.name) == ("images", "scores")
    assert isinstance(images.shape[0], str) and images.shape[1:] == [2, 8, 8]
    assert isinstance(scores.shape[0], str) and scores.shape[1:] == [3]


def test_a_network_that_cannot_be_exported_is_said(
    undecided: Network, data: DataDescription, tmp_path: Path
) -> None:
    id = undecided.architecture.id
    with pytest.raises(ExportError, match=f"Network {id} cannot be exported to ONNX: "):
        export_network(undecided, tmp_path / "net", data=data, scores={}, formats=("onnx",))
    assert not (tmp_path / "net").exists()
