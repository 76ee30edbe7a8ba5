"""Images, labels and how they are split: what a network is trained on and judged by.

    data = load_data("digits", seed=0)
    data.search_view()      what a search sees: training and validation images, no way to the test
    data.open_test()        the test images, for the final score alone

Reading and splitting need NumPy only and are imported here. What feeds torch is beside it:
`nas.data.batches` (`TrainBatches`, `EvalBatches`) and `nas.data.augment` (`Augmentation`).
"""

from __future__ import annotations

from nas.data.images import Dataset, Images, Normalisation, SearchData
from nas.data.load import KINDS, load_data

__all__ = ["KINDS", "Dataset", "Images", "Normalisation", "SearchData", "load_data"]
