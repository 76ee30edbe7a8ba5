from __future__ import annotations

import numpy as np
import threadpoolctl

from nas.search.surrogates.effects import Effects


def additive(n, rng):
    features = rng.integers(0, 2, size=(n, 30)).astype(np.float32)
    return features, features @ np.arange(30.0)


def test_what_adds_up_is_learnt_from_more_rows_than_features():
    rng = np.random.default_rng(0)
    effects = Effects(*additive(200, rng))
    unseen, truth = additive(100, rng)
    assert np.corrcoef(effects.predict(unseen), truth)[0, 1] > 0.99


def test_fewer_rows_than_features_still_give_an_order():
    rng = np.random.default_rng(0)
    effects = Effects(*additive(20, rng))
    unseen, truth = additive(100, rng)
    assert np.corrcoef(effects.predict(unseen), truth)[0, 1] > 0.5


def test_a_constant_error_has_no_effects():
    features, _ = additive(20, np.random.default_rng(0))
    assert not Effects(features, np.full(20, 3.0)).predict(features).any()


def test_effects_do_not_depend_on_the_number_of_threads():
    features, errors = additive(300, np.random.default_rng(0))
    found = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            effects = Effects(features, errors, np.random.default_rng(1))
            found.append(effects.predict(features))
    np.testing.assert_array_equal(*found)
