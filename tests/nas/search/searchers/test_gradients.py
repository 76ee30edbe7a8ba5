"""What the searchers that take gradients do with them, on gradients that are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.search.asking.history import History, SequentialSearcher
from nas.search.brief import Brief
from nas.search.gradients.gene_tables import total
from nas.search.gradients.guided import Guided
from nas.search.gradients.supernet_gradients import SupernetGradients
from nas.search.searchers import differentiable, saliency
from nas.search.searchers.differentiable import Differentiable
from nas.search.searchers.primal_dual import PrimalDual
from nas.search.searchers.saliency import Saliency
from search_spaces import load_space
from search_spaces.data_shape import DataShape
from supernet.batches import Batch
from supernet.supernet import Supernet

SPACE = load_space("hybrid-cifar")
DEPTH = [gene.name for gene in SPACE.genes].index("stages.1.depth")
RNG = np.random.default_rng(0)
LOSS = [row - row.mean() for row in (RNG.normal(size=g.cardinality) for g in SPACE.genes)]
TIME = [np.sort(RNG.uniform(0, 1, size=g.cardinality)) for g in SPACE.genes]


class Given:
    """Changes of the loss that add up over choices, with some noise; counts how often it is asked.

    Args:
        terms: By step, the Taylor term of the first choice of the gene `DEPTH`.
    """

    space = SPACE

    def __init__(self, terms: dict[int, float] | None = None) -> None:
        self.asked, self._terms = 0, terms or {}

    def losses(self, codes, step):
        return total(SPACE, LOSS, codes)

    def changes(self, code, step, exact=2):
        self.asked += 1
        noise = np.random.default_rng(step)
        active = SPACE.active(code[None])[0]
        return [
            np.where(active[i], row - row[code[i]] + noise.normal(0, 0.1, len(row)), np.nan)
            for i, row in enumerate(LOSS)
        ]

    def taylor(self, code, step):
        rows = [np.full(gene.cardinality, np.nan) for gene in SPACE.genes]
        for row, own in zip(rows, code, strict=True):
            row[own] = 0.0
        if step in self._terms:
            rows[DEPTH][0] = self._terms[step]
        return rows


def milliseconds(codes):
    return 1.0 + total(SPACE, TIME, codes)[:, None]


@pytest.fixture
def given() -> Given:
    return Given()


def first(make, brief, n):
    """What a searcher asks first, nothing being told."""
    history = History(brief)
    rule = Guided(brief, history, make(brief, history))
    return SequentialSearcher(history, rule.next).ask(n)


@pytest.mark.parametrize("make", [Differentiable, PrimalDual, Saliency])
def test_the_first_asks_are_near_the_true_front(make, given: Given) -> None:
    brief = Brief(SPACE, 0, known_objectives=milliseconds, gradients=given)
    asked = first(make, brief, 12)
    drawn = SPACE.sample(4000, np.random.default_rng(1))
    loss, time = total(SPACE, LOSS, drawn), milliseconds(drawn)[:, 0]
    better = [
        ((loss < total(SPACE, LOSS, code[None])) & (time < milliseconds(code[None])[0])).mean()
        for code in asked
    ]
    assert np.median(better) < 0.002
    assert np.ptp(milliseconds(asked)) > 0.5 * np.ptp(time)
    assert given.asked <= 12


@pytest.mark.parametrize("make", [Differentiable, PrimalDual, Saliency])
def test_under_a_budget_the_first_asks_are_spread_below_it(make, given: Given) -> None:
    times = milliseconds(SPACE.sample(4000, np.random.default_rng(1)))
    limit = np.quantile(times, 0.25)
    brief = Brief(
        SPACE,
        0,
        constraints=lambda codes: milliseconds(codes) / limit - 1,
        known_objectives=milliseconds,
        gradients=given,
    )
    asked = milliseconds(first(make, brief, 5))[:, 0]
    assert asked.max() <= limit
    assert np.ptp(asked) > 0.3 * (limit - times.min())


def test_a_heavier_cost_chooses_cheaper_and_a_colder_one_likelier(given: Given) -> None:
    brief = Brief(SPACE, 0, known_objectives=milliseconds, gradients=given)
    rule = Differentiable(brief, History(brief))
    rule.learn()
    codes = rule._sample(np.array([0.0, 0.3, 3.0, 30.0]), 0.0)
    times = milliseconds(codes)[:, 0]
    assert (np.diff(times) <= 0).all() and times[0] > times[-1]
    level = np.full(20_000, 0.5)
    drawn = rule._sample(level, 1.0)
    for gene in (0, 1, 2):
        logits = -(rule._slopes[gene] + 0.5 * rule._costs[gene])
        expected = np.exp(logits) / np.exp(logits).sum()
        shares = np.bincount(drawn[:, gene], minlength=len(expected)) / len(drawn)
        np.testing.assert_allclose(shares, expected, atol=0.02)
    assert given.asked == differentiable.STEPS


def test_pruning_takes_what_is_worth_least_per_cost_first(given: Given) -> None:
    brief = Brief(SPACE, 0, known_objectives=milliseconds, gradients=given)
    rule = Saliency(brief, History(brief))
    code = SPACE.largest()
    rows = [row - row[own] for row, own in zip(LOSS, code, strict=True)]
    left = rule.pruned(code, rows, lambda codes: milliseconds(codes)[:, 0], target=-np.inf)
    way = np.stack([code, *left])
    assert (np.diff(milliseconds(way)[:, 0]) < 0).all()
    saved = -np.diff(milliseconds(way[:2])[:, 0])[0]
    worth = np.diff(total(SPACE, rows, way[:2]))[0] / saved
    for gene, row in enumerate(rows):
        for choice in range(len(row)):
            other = SPACE.canonical(np.where(np.arange(len(code)) == gene, choice, code)[None])
            less = milliseconds(code[None])[0, 0] - milliseconds(other)[0, 0]
            if less > 1e-9:
                assert worth <= row[choice] / less + 1e-9


def test_saliencies_are_the_second_order_of_taylor_terms() -> None:
    terms = {0: -0.2, 1: 0.6}
    given = Given(terms)
    brief = Brief(SPACE, 0, known_objectives=milliseconds, gradients=given)
    rule = Saliency(brief, History(brief))
    code = SPACE.largest()
    rows = rule.saliencies(code, 0)
    assert len(terms) == saliency.BATCHES
    assert rows[DEPTH][0] == pytest.approx(0.2 + 0.5 * (0.04 + 0.36) / 2)
    np.testing.assert_array_equal(rows[DEPTH][1], given.changes(code, 0)[DEPTH][1])


def test_a_block_that_does_nothing_has_no_saliency() -> None:
    supernet = Supernet(SPACE, DataShape(1, 2))
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if name.startswith("stages.1.blocks.3") and name.endswith(".scale"):
                parameter.zero_()

    def images(step: int, batch_size: int, resolution: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        shape = (batch_size, 1, resolution, resolution)
        batch = torch.randn(shape, generator=generator)
        labels = torch.arange(batch_size) % 2
        return type("B", (), {"images": batch, "targets": F.one_hot(labels, 2).float()})()

    gradients = SupernetGradients(SPACE, supernet, images, batch_size=4)
    brief = Brief(SPACE, 0, known_objectives=milliseconds, gradients=gradients)
    rows = Saliency(brief, History(brief)).saliencies(SPACE.largest(), 0)
    depths = [gene.name for gene in SPACE.genes]
    idle, busy = (rows[depths.index(f"stages.{i}.depth")] for i in (1, 2))
    assert idle[1] == 0.0 and idle[0] != 0.0
    assert busy[1] != 0.0
