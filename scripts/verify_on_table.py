"""What the correction of `nas search --verify` is worth, on a table of networks all trained alone.

    python scripts/verify_on_table.py --table nas_bench_macro_cifar10.csv.gz --seeds 10

NAS-Bench-Macro has 3,969 networks (one of each group that computes the same). A supernet's score
is simulated: the logarithm of the true error and a disturbance, so large that Kendall's tau with
the accuracies is the one stated. The disturbance is drawn for each network alone, for the choices
in it (and pairs of them), or half and half. Then k networks are chosen as `--verify` chooses its
first ones, and their accuracies are read from one training seed of the table. The table gives
Kendall's tau with the mean accuracy over three seeds, over all networks and inside deciles of
multiply-adds: of what is corrected, also by networks drawn at random; of the same process without
the score, and of the search's own Gaussian process without it, both from random networks.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results_file
from scipy.stats import kendalltau

from nas.ranking.canonical import canonical_codes, depths
from nas.ranking.choosing import spread
from nas.ranking.correction import SURE, Correction, Networks, correct, log_errors
from nas.search.protocol import Codes, Floats
from nas.search.surrogates.gaussian_process import GaussianProcess
from search_spaces import load_space

COUNTS = (10, 40)
SHARES = {"of each network": 0.0, "half and half": 0.5, "of the choices": 1.0}
"""How much of the disturbance's variance comes from the choices in a network."""
SPACE = load_space("macro")


@dataclass(frozen=True)
class MacroTable:
    """The distinct networks of NAS-Bench-Macro."""

    codes: Codes
    macs: Floats
    once: Floats
    """Accuracy of one training, in per cent."""
    mean: Floats
    """Mean accuracy of three."""

    def taus(self, score: Floats) -> tuple[float, float]:
        """Kendall's tau over all networks, and the mean inside deciles of multiply-adds."""
        decile = np.argsort(np.argsort(self.macs)) * 10 // len(self.macs)
        inside = [
            kendalltau(score[decile == d], self.mean[decile == d]).statistic for d in range(10)
        ]
        return float(kendalltau(score, self.mean).statistic), float(np.mean(inside))


def main() -> None:
    """Simulate, correct, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--taus", type=float, nargs="+", default=[0.6, 0.7])
    asked = parser.parse_args()
    table = read(asked.table)
    depth = depths(SPACE, table.codes)
    figures = {
        "networks": len(table.codes),
        "multiply-adds": _shown([table.taus(table.macs)]),
        "depth": _shown([table.taus(depth)]),
        "one training against three": _shown([table.taus(table.once)]),
    }
    for tau in asked.taus:
        for kind, share in SHARES.items():
            name = f"tau {tau}, disturbance {kind}"
            figures[name] = _simulated(table, tau, share, asked.seeds)
            print(name, figures[name], flush=True)
    results_file.write("search", "verify-nas-bench-macro", figures)


def read(path: Path) -> MacroTable:
    """The rows whose codes are canonical."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    layers = [i for i, gene in enumerate(SPACE.genes) if gene.role == "mixer"]
    codes = np.zeros((len(rows), SPACE.num_genes), dtype=np.int16)
    codes[:, layers] = [[int(digit) for digit in row["arch"]] for row in rows]
    kept = (canonical_codes(SPACE, codes) == codes).all(axis=1)

    def column(name: str) -> Floats:
        values: Floats = np.array([float(row[name]) for row in rows])[kept]
        return values

    return MacroTable(codes[kept], column("flops"), column("acc1"), column("mean_acc"))


def _simulated(table: MacroTable, tau: float, share: float, seeds: int) -> dict[str, object]:
    """The figures of one kind of score, over seeds."""
    taus: dict[str, list[tuple[float, float]]] = {}
    covered: dict[str, list[float]] = {}
    depth, features = depths(SPACE, table.codes), np.asarray(SPACE.features(table.codes))
    true = log_errors(100.0 - table.mean, 0.0)
    learnt = log_errors(100.0 - table.once, 0.0)

    def note(name: str, found: Correction, rows: Codes) -> None:
        taus.setdefault(name, []).append(table.taus(-found.mean))
        others = np.setdiff1d(np.arange(len(true)), rows)
        inside = (found.low <= true) & (true <= found.high)
        covered.setdefault(name, []).append(float(inside[others].mean()))

    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        score = _score(table, tau, share, rng)
        networks = Networks(features, SPACE.feature_groups, score, depth, table.macs)
        without = Networks(features, SPACE.feature_groups, depth, depth, table.macs)
        taus.setdefault("k = 0, the score", []).append(table.taus(-score))
        taus.setdefault("k = 0, smoothed", []).append(table.taus(-networks.smoothed))
        for k in COUNTS:
            rows = spread(score, table.macs, k, rng)
            drawn = rng.choice(len(true), k, replace=False)
            note(f"k = {k}, corrected", correct(networks, rows, learnt[rows]), rows)
            by_chance = correct(networks, drawn, learnt[drawn])
            note(f"k = {k}, corrected by random networks", by_chance, drawn)
            note(f"k = {k}, without the score", correct(without, drawn, learnt[drawn]), drawn)
            process = GaussianProcess(_with_depth(SPACE.feature_groups))
            known = np.column_stack([features, depth / 8])
            process.fit(known[drawn], learnt[drawn])
            name = f"k = {k}, the search's process without the score"
            taus.setdefault(name, []).append(table.taus(-process.predict(known)[0]))
    shown: dict[str, object] = {name: _shown(pairs) for name, pairs in taus.items()}
    share_inside = {name: round(float(np.mean(each)), 3) for name, each in covered.items()}
    return {**shown, f"inside the {SURE:.0%} interval": share_inside}


def _with_depth(groups: Codes) -> Codes:
    return np.append(groups, groups.max() + 1)


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


def _shown(pairs: list[tuple[float, float]]) -> str:
    """Means over the seeds: all networks / inside deciles; and the deviation of the first."""
    overall, inside = np.array(pairs).T
    spread_of = f" (sd {overall.std():.3f})" if len(overall) > 1 else ""
    return f"{overall.mean():.3f} / {inside.mean():.3f}{spread_of}"


if __name__ == "__main__":
    main()
