"""Some of a data set's images as an archive of three splits, for scripts that train many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.data import load_data

VALIDATION, TEST = 1000, 5000


def draw(data: str, count: int, seed: int, path: Path, validation: int = VALIDATION) -> None:
    """Keep `count` training images and some others; an archive that is there is left as it is."""
    if path.exists():
        return
    whole, rng = load_data(data, seed=0), np.random.default_rng(seed)
    drawn = rng.permutation(len(whole.train))[: count + validation]
    test = whole.open_test()
    test = test.select(rng.permutation(len(test))[:TEST])
    train, judged = (whole.train.select(np.sort(part)) for part in (drawn[:count], drawn[count:]))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        images=train.pixels,
        labels=train.labels,
        val_images=judged.pixels,
        val_labels=judged.labels,
        test_images=test.pixels,
        test_labels=test.labels,
    )
