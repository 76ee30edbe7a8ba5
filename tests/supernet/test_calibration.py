from __future__ import annotations

import torch
from torch import nn

from supernet.calibration import calibrate


def test_a_small_last_batch_counts_by_its_images() -> None:
    norm, images = nn.BatchNorm2d(1), torch.randn(65, 1, 4, 4)
    images[64] += 100.0
    calibrate(norm, images.split(64))
    assert norm.running_mean is not None and norm.momentum == 0.1
    torch.testing.assert_close(norm.running_mean, images.mean((0, 2, 3)))
