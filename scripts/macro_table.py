"""NAS-Bench-Macro, and how well scores of its networks rank them, as they are and corrected.

The table has 3,969 networks (one of each group that computes the same), each trained alone three
times. Kendall's tau is taken with the mean accuracy over all networks and inside deciles of
multiply-adds.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.ranking.canonical import canonical_codes, depths
from nas.ranking.choosing import Rows, spread
from nas.ranking.correction import SURE, Networks, correct, log_errors
from nas.search.protocol import Codes, Floats
from nas.search.surrogates.gaussian_process import GaussianProcess
from search_spaces import load_space

COUNTS = (10, 40)
DECILES, LAYERS = 10, 8
SPACE = load_space("macro")


@dataclass(frozen=True)
class MacroTable:
    """Distinct networks of NAS-Bench-Macro."""

    codes: Codes
    macs: Floats
    once: Floats
    """Accuracy of one training, in per cent."""
    mean: Floats
    """Mean accuracy of three."""

    @property
    def decile(self) -> Rows:
        """The tenth of the networks by multiply-adds that each belongs to, (n,)."""
        tenth: Rows = np.argsort(np.argsort(self.macs)) * DECILES // len(self.macs)
        return tenth

    def taus(self, score: Floats) -> tuple[float, float]:
        """Kendall's tau over all networks, and the mean inside deciles of multiply-adds."""
        inside = [
            kendalltau(score[self.decile == d], self.mean[self.decile == d]).statistic
            for d in range(DECILES)
        ]
        return float(kendalltau(score, self.mean).statistic), float(np.mean(inside))

    def some(self, rows: Rows) -> MacroTable:
        """Some of the networks."""
        return MacroTable(self.codes[rows], self.macs[rows], self.once[rows], self.mean[rows])

    def known(self) -> dict[str, object]:
        """What ranks the networks without any supernet."""
        return {
            "networks": len(self.codes),
            "multiply-adds": shown([self.taus(self.macs)]),
            "depth": shown([self.taus(depths(SPACE, self.codes))]),
            "one training against three": shown([self.taus(self.once)]),
        }


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


class Corrections:
    """The taus of scores, and of what corrects them by k networks of the table, over trials."""

    def __init__(self, table: MacroTable) -> None:
        self._table = table
        self._depth = depths(SPACE, table.codes)
        self._features = np.asarray(SPACE.features(table.codes))
        self._learnt = log_errors(100.0 - table.once, 0.0)
        self._true = log_errors(100.0 - table.mean, 0.0)
        self._taus: dict[str, list[tuple[float, float]]] = {}
        self._inside: dict[str, list[float]] = {}

    def add(self, score: Floats, rng: np.random.Generator) -> None:
        """One trial.

        Args:
            score: Logarithms of errors with shared weights, (n,).
            rng: Chooses the k networks.
        """
        networks, without = self._networks(score), self._networks(self._depth)
        self._note("k = 0, the score", score)
        self._note("k = 0, smoothed", networks.smoothed)
        for k in COUNTS:
            rows = spread(score, self._table.macs, k, rng)
            drawn = rng.choice(len(score), k, replace=False)
            self._correct(f"k = {k}, corrected", networks, rows)
            self._correct(f"k = {k}, corrected by random networks", networks, drawn)
            self._correct(f"k = {k}, without the score", without, drawn)
            process = GaussianProcess(
                np.append(SPACE.feature_groups, SPACE.feature_groups.max() + 1)
            )
            known = np.column_stack([self._features, self._depth / LAYERS])
            process.fit(known[drawn], self._learnt[drawn])
            name = f"k = {k}, the search's process without the score"
            self._note(name, process.predict(known)[0])

    def figures(self) -> dict[str, object]:
        """Means over the trials; for intervals, the share of the other networks inside."""
        inside = {name: round(float(np.mean(each)), 3) for name, each in self._inside.items()}
        taus = {name: shown(pairs) for name, pairs in self._taus.items()}
        return {**taus, f"inside the {SURE:.0%} interval": inside}

    def _networks(self, score: Floats) -> Networks:
        groups, macs = SPACE.feature_groups, self._table.macs
        return Networks(self._features, groups, score, self._depth, macs)

    def _correct(self, name: str, networks: Networks, rows: Rows) -> None:
        found = correct(networks, rows, self._learnt[rows])
        self._note(name, found.mean)
        inside = (found.low <= self._true) & (self._true <= found.high)
        self._inside.setdefault(name, []).append(float(np.delete(inside, rows).mean()))

    def _note(self, name: str, errors: Floats) -> None:
        self._taus.setdefault(name, []).append(self._table.taus(-errors))


def shown(pairs: list[tuple[float, float]]) -> str:
    """Means over the trials: all networks / inside deciles; and the deviation of the first."""
    overall, inside = np.array(pairs).T
    spread_of = f" (sd {overall.std():.3f})" if len(overall) > 1 else ""
    return f"{overall.mean():.3f} / {inside.mean():.3f}{spread_of}"
