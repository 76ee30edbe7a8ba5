"""A space with a formula for accuracy and latency, and the search problem on it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from nas.search.objectives import Budgets, Measures
from nas.search.problem import Problem
from supernet.scores import Evaluation


@dataclass
class Gene:
    name: str
    choices: tuple


class FormulaSpace:
    """Seven genes; a larger value is slower, more accurate, and less so each time."""

    name = "formula"
    genes = tuple(Gene(f"gene{i}", tuple(range(k))) for i, k in enumerate((4, 3, 5, 2, 4, 3, 5)))

    def __init__(self):
        self.cardinalities = np.array([len(gene.choices) for gene in self.genes])
        self.num_genes = len(self.genes)

    def sample(self, n, rng):
        return rng.integers(self.cardinalities, size=(n, self.num_genes)).astype(np.int16)

    def mutate(self, codes, rng):
        codes = codes.copy()
        rows, genes = np.arange(len(codes)), rng.integers(self.num_genes, size=len(codes))
        step = rng.choice([-1, 1], size=len(codes))
        codes[rows, genes] = np.clip(codes[rows, genes] + step, 0, self.cardinalities[genes] - 1)
        return codes

    def crossover(self, first, second, rng):
        return np.where(rng.random(first.shape) < 0.5, first, second)

    def features(self, codes):
        return codes.astype(np.float32)

    def contains(self, codes):
        return ((codes >= 0) & (codes < self.cardinalities)).all(axis=1)

    def size(self):
        return int(np.prod(self.cardinalities))

    def measures(self, codes):
        latency = 0.41 + 0.1 * codes @ np.arange(1.0, self.num_genes + 1)
        total = codes.sum(axis=1).astype(float)
        return Measures(
            latency_ms=latency[:, None],
            low_ms=0.9 * latency[:, None],
            high_ms=1.1 * latency[:, None],
            macs=1000 * (1 + total),
            params=100 * (1 + total),
            memory_mib=1 + 0.5 * total,
        )

    def evaluate(self, code):
        share = np.sqrt(code / (self.cardinalities - 1)).mean()
        correct = int(270 * (0.1 + 0.85 * share))
        return Evaluation(correct / 270, correct / 300, float(2 - share))


@pytest.fixture
def space():
    return FormulaSpace()


@pytest.fixture
def problem(space):
    return Problem(
        space=space,
        evaluate=space.evaluate,
        measures=space.measures,
        budgets=Budgets(((5.0,),), max_params=1700),
        identify=lambda code: "-".join(str(gene) for gene in code),
    )


@pytest.fixture
def two_targets(problem, space):
    """The same on two targets, the second fast where the first is slow, with two budget sets."""

    def measures(codes):
        first = space.measures(codes)
        slow = space.measures(space.cardinalities - 1 - codes).latency_ms
        return dataclasses.replace(
            first,
            latency_ms=np.concatenate([first.latency_ms, slow], axis=1),
            low_ms=np.concatenate([first.low_ms, 0.8 * slow], axis=1),
            high_ms=np.concatenate([first.high_ms, 1.2 * slow], axis=1),
        )

    return dataclasses.replace(
        problem,
        measures=measures,
        budgets=Budgets(((4.0, 9.0), (5.0, 9.0)), max_params=1700),
        targets=("one", "other"),
    )
