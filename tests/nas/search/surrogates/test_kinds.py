"""Every surrogate, and how `adaptive` chooses among its kinds."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl

from nas.search.surrogates.adaptive import FEWEST, AdaptiveSurrogate, cross_validate, mixed
from nas.search.surrogates.assessment import assess
from nas.search.surrogates.features import feature_groups
from nas.search.surrogates.kinds import kinds_of
from nas.search.surrogates.ridge import RidgeEnsemble
from search_spaces import load_space

SPACE = load_space("hybrid-tiny")
GROUPS = feature_groups(SPACE)
KINDS = ("gaussian-process", "gaussian-process-fine")
every_surrogate = pytest.mark.parametrize("name", (*KINDS, "ridge"))


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    features = SPACE.features(SPACE.sample(n, rng)).astype(float)
    return features, features[:, :40].sum(axis=1) + features[:, 3] * features[:, 8]


def made(name):
    ridge = {"ridge": lambda: RidgeEnsemble(np.random.default_rng(0))}
    return (kinds_of(GROUPS) | ridge)[name]()


@every_surrogate
def test_a_surrogate_ranks_what_it_has_not_seen(name):
    surrogate = made(name)
    surrogate.fit(*draw(120))
    features, targets = draw(200, seed=1)
    mean, std = surrogate.predict(features)
    assert mean.shape == std.shape == (200,)
    assert np.corrcoef(mean, targets)[0, 1] > 0.6
    assert (std > 0).all()


@every_surrogate
def test_a_surrogate_depends_on_its_seed_and_not_on_threads(name):
    features, targets = draw(60)
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            surrogate = made(name)
            surrogate.fit(features, targets)
            found.append(surrogate.predict(features + 0.1))
    np.testing.assert_array_equal(*found)


@every_surrogate
def test_constant_targets_do_no_harm(name):
    surrogate = made(name)
    surrogate.fit(draw(20)[0], np.full(20, 2.0))
    mean, std = surrogate.predict(draw(5, seed=2)[0])
    np.testing.assert_allclose(mean, 2.0)
    assert np.isfinite(std).all()


class Fixed:
    """A surrogate that predicts one column of the features."""

    def __init__(self, column):
        self.column = column

    def fit(self, features, targets):
        pass

    def believe(self, features):
        pass

    def predict(self, features):
        return features[:, self.column], np.full(len(features), 0.1)


def test_the_kinds_that_rank_best_are_chosen_when_there_is_enough_to_choose():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    targets = features[:, 2] + 0.01 * rng.normal(size=60)
    surrogate = AdaptiveSurrogate(
        {"noise": lambda: Fixed(0), "other": lambda: Fixed(1), "right": lambda: Fixed(2)}, rng
    )
    surrogate.fit(features[: FEWEST - 1], targets[: FEWEST - 1])
    assert surrogate.names == ("noise", "other")
    surrogate.fit(features, targets)
    assert surrogate.names == ("right",)
    np.testing.assert_array_equal(surrogate.predict(features)[0], features[:, 2])


def test_a_mixture_has_the_moments_of_its_draws():
    rng = np.random.default_rng(0)
    means, stds = np.array([0.0, 1.0]), np.array([0.5, 1.5])
    draws = rng.normal(means[:, None], stds[:, None], size=(2, 200_000)).ravel()
    mean, std = mixed([(means[:1], stds[:1]), (means[1:], stds[1:])])
    np.testing.assert_allclose([mean[0], std[0]], [draws.mean(), draws.std()], rtol=0.02)


def test_rows_are_predicted_by_fits_that_have_not_seen_them():
    features, targets = draw(30)
    seen = []

    class Spy(Fixed):
        def fit(self, features, targets):
            seen.append({row.tobytes() for row in features})

        def predict(self, features):
            assert not seen[-1] & {row.tobytes() for row in features}
            return super().predict(features)

    cross_validate({"spy": lambda: Spy(0)}, features, targets, np.random.default_rng(0))
    assert len(seen) == 3


def test_a_finished_search_says_how_far_its_surrogates_could_be_trusted():
    codes = SPACE.sample(90, np.random.default_rng(5))
    errors = np.exp(0.1 * SPACE.features(codes)[:, :40].sum(axis=1))
    fits = assess(SPACE, codes, errors)
    assert [fit.name for fit in fits] == [*KINDS, "all together"]
    assert all(fit.spearman > 0.5 for fit in fits)
    assert 0.8 <= fits[-1].covered <= 1
    assert assess(SPACE, codes[: FEWEST - 1], errors[: FEWEST - 1]) == ()
    costs = SPACE.features(codes)[:, :1].astype(float)
    under_a_budget = assess(SPACE, codes, errors, lambda codes: costs[: len(codes)])
    assert [fit.name for fit in under_a_budget] == [*KINDS, "all together"]
