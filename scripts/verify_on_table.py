"""What the correction of `nas search --verify` is worth, on a table of networks all trained alone.

    python scripts/verify_on_table.py --table nas_bench_macro_cifar10.csv.gz --seeds 10

A supernet's score is simulated: the logarithm of the true error and a disturbance, so large that
Kendall's tau with the accuracies is the one stated. The disturbance is drawn for each network
alone, for the choices in it (and pairs of them), or half and half. Then k networks are chosen as
`--verify` chooses its first ones, and their accuracies are read from one training seed of the
table. The figures are the taus of what is corrected, also by networks drawn at random; of the same
process without the score, and of the search's own Gaussian process without it, both from random
networks. `macro_ranking.py` does the same with the scores of trained supernets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results_file
from macro_table import SPACE, Corrections, MacroTable, read
from scipy.stats import kendalltau

from nas.ranking.correction import log_errors
from nas.search.protocol import Floats

SHARES = {"of each network": 0.0, "half and half": 0.5, "of the choices": 1.0}
"""How much of the disturbance's variance comes from the choices in a network."""


def main() -> None:
    """Simulate, correct, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--taus", type=float, nargs="+", default=[0.6, 0.7])
    asked = parser.parse_args()
    table = read(asked.table)
    figures = table.known()
    for tau in asked.taus:
        for kind, share in SHARES.items():
            name = f"tau {tau}, disturbance {kind}"
            found = Corrections(table)
            for seed in range(asked.seeds):
                rng = np.random.default_rng(seed)
                found.add(_score(table, tau, share, rng), rng)
            figures[name] = found.figures()
            print(name, figures[name], flush=True)
    results_file.write("search", "verify-nas-bench-macro", figures)


def _score(table: MacroTable, tau: float, share: float, rng: np.random.Generator) -> Floats:
    """Logarithms of errors, disturbed until Kendall's tau is as stated."""
    true = log_errors(100.0 - table.mean, 0.0)
    true = (true - true.mean()) / true.std()
    layers = [i for i, gene in enumerate(SPACE.genes) if gene.role == "mixer"]
    chosen = np.concatenate([np.eye(3)[table.codes[:, layer]] for layer in layers], axis=1)
    pairs = (chosen[:, :, None] * chosen[:, None, :]).reshape(len(chosen), -1)
    of_choices = chosen @ rng.normal(size=chosen.shape[1])
    of_choices += 0.3 * pairs @ rng.normal(size=pairs.shape[1])
    of_choices = (of_choices - of_choices.mean()) / of_choices.std()
    alone = rng.normal(size=len(true))
    disturbed = np.sqrt(share) * of_choices + np.sqrt(1.0 - share) * alone
    low, high = 0.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        if kendalltau(-(true + middle * disturbed), table.mean).statistic > tau:
            low = middle
        else:
            high = middle
    score: Floats = true + low * disturbed
    return score


if __name__ == "__main__":
    main()
