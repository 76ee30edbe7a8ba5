from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.export import DataDescription, ExportError, export_network
from nas.export.verification import random_images
from search_spaces import Network


def test_the_file_loads_with_torch_alone(
    plain: Network, data: DataDescription, tmp_path: Path
) -> None:
    export_network(plain, tmp_path / "net", data=data, scores={}, formats=("pt2",))
    images = random_images(plain, 3)
    torch.save((images, plain(images).detach()), tmp_path / "expected.pt")
    alone = f"""
import sys, torch
network = torch.export.load({str(tmp_path / "net" / "model.pt2")!r}).module()
images, scores = torch.load({str(tmp_path / "expected.pt")!r})
torch.testing.assert_close(network(images), scores, rtol=1e-4, atol=1e-4)
assert not {{"nas", "search_spaces", "supernet"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", alone], check=True, cwd=tmp_path)


def test_a_network_that_cannot_be_captured_is_said(
    undecided: Network, data: DataDescription, tmp_path: Path
) -> None:
    id = undecided.architecture.id
    with pytest.raises(ExportError, match=f"Network {id} cannot be captured by torch.export: "):
        export_network(undecided, tmp_path / "net", data=data, scores={}, formats=("pt2",))
    assert not (tmp_path / "net").exists()
