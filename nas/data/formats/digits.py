"""Handwritten digits, 8x8 grey, inside scikit-learn: 1,797 images that need no download.

Source: Alpaydin and Kaynak 1998, https://archive.ics.uci.edu/dataset/80
"""

from __future__ import annotations

import numpy as np

from nas.data.images import Images, Source


def read() -> Source:
    """All images; there is no official split."""
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)  # (1797, 64), whole numbers 0 to 16
    pixels = np.rint(levels.reshape(-1, 8, 8, 1) * (255.0 / 16.0)).astype(np.uint8)
    return Source(tuple("0123456789"), Images(pixels, labels.astype(np.int64)))
