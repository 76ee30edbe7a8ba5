"""Fixed random directions, onto which random features project queries and keys."""

from __future__ import annotations

import numpy as np


def orthogonal_directions(count: int, dim: int) -> np.ndarray:
    """Directions (count, dim), orthogonal in blocks of `dim`, as long as Gaussian vectors."""
    rng = np.random.default_rng(0)
    blocks = rng.standard_normal((-(-count // dim), dim, dim))
    lengths = np.linalg.norm(rng.standard_normal((count, dim)), axis=1)
    directions = np.linalg.qr(blocks).Q.transpose(0, 2, 1).reshape(-1, dim)[:count]
    return np.ascontiguousarray(directions * lengths[:, None])
