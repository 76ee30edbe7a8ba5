"""How well networks of a board are predicted by a fit that never saw the board.

    python scripts/boards_left_out.py

Every board is left out with all its variants, one after the other; the table shows those with 200
measured networks or more in a runtime family. Networks are traced as for `fit_gpu_model.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fit_gpu_model import measurements
from results_file import write

from nas.latency.gpu.fit.validation import leave_devices_out
from nas.latency.gpu.formula import way_of
from nas.latency.prediction import agreement

LEAST = 200


def main() -> None:
    """Fit without each board and write the errors."""
    rows = measurements()
    figures: dict[str, Any] = {}
    for board, tested, predicted in leave_devices_out(rows):
        for way in ("launched", "fused"):
            own = np.array([way_of(row.runtime) == way for row in tested])
            if own.sum() < LEAST:
                continue
            ms = np.array([row.ms for row in tested])[own]
            found = agreement(predicted[own], ms)
            bias = float(np.median(np.log(predicted[own] / ms)))
            figures[f"{board} {way}"] = {**found, "bias_log": bias}
            print(board, way, figures[f"{board} {way}"], flush=True)
    medians = [figure["median"] for figure in figures.values()]
    summary = {"mean_of_medians": float(np.mean(medians)), "largest_median": max(medians)}
    write("latency", "boards-left-out", {"boards": figures, **summary})


if __name__ == "__main__":
    main()
