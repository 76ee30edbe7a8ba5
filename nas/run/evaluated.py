"""The architectures that a run's supernet has evaluated, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nas.ranking.canonical import canonical_codes, depths
from nas.ranking.correction import Networks, log_errors
from nas.result import Metric
from nas.run.context import Context
from nas.search.engine import read_records
from nas.search.protocol import Codes, Floats
from nas.search.records import Record
from supernet.scores import Evaluation

HALF_AN_IMAGE = 0.5
LEAST_LOSS = 1e-6


@dataclass(frozen=True)
class Evaluated:
    """Architectures with the supernet's scores; of networks that compute the same, one."""

    records: Sequence[Record]
    context: Context

    @cached_property
    def codes(self) -> Codes:
        """Of each network, (n, genes)."""
        return np.array([record.code for record in self.records], dtype=np.int16)

    @cached_property
    def macs(self) -> Floats:
        """Multiply-adds per image, (n,)."""
        return np.array([float(record.macs) for record in self.records])

    @cached_property
    def latency_ms(self) -> Floats:
        """Predicted, (n, targets)."""
        return np.array([[at.predicted_ms for at in record.latencies] for record in self.records])

    @cached_property
    def networks(self) -> Networks:
        """What a correction is made from."""
        space = self.context.space
        codes = canonical_codes(space, self.codes)
        return Networks(
            features=np.asarray(space.features(codes), dtype=float),
            groups=space.feature_groups,
            score=self.errors(self.records),
            depth=depths(space, codes),
            macs=self.macs,
        )

    def errors(self, scored: Iterable[Record | Evaluation]) -> Floats:
        """Logarithms of the errors by the run's metric, (n,)."""
        metric, images = self.context.metric, len(self.context.data.validation)
        least = LEAST_LOSS if metric == "loss" else HALF_AN_IMAGE / images
        return log_errors(np.array([_error(each, metric) for each in scored]), least)


def evaluated_in(run: Path, context: Context, files: Sequence[str]) -> Evaluated:
    """The architectures in a run's files of evaluations; failed ones are left out."""
    records = [r for name in files for r in read_records(run / name) if not r.failed]
    return Evaluated(distinct(records, context), context)


def distinct(records: Sequence[Record], context: Context) -> list[Record]:
    """The first record of each network."""
    if not records:
        return []
    codes = canonical_codes(context.space, np.array([r.code for r in records], dtype=np.int16))
    first = np.unique(codes, axis=0, return_index=True)[1]
    return [records[row] for row in sorted(first.tolist())]


def _error(scored: Record | Evaluation, metric: Metric) -> float:
    value: float = getattr(scored, metric)
    return value if metric == "loss" else 1.0 - value
