"""What a surrogate sees of a code."""

from __future__ import annotations

import numpy as np

from nas.search.surrogates.features import Description, feature_groups
from search_spaces import load_space

SPACE = load_space("hybrid-tiny")
CODES = SPACE.sample(20, np.random.default_rng(0))


def first(codes):
    return codes[:, 0].astype(float)


def pair(codes):
    return codes[:, 1:3].astype(float)


def test_features_of_one_factor_share_a_group():
    groups = feature_groups(SPACE)
    assert len(groups) == SPACE.features(CODES).shape[1]
    assert set(groups) == set(range(groups.max() + 1))


def test_a_space_without_groups_has_one_for_each_feature(space):
    width = space.features(space.sample(1, np.random.default_rng(0))).shape[1]
    np.testing.assert_array_equal(feature_groups(space), np.arange(width))


def test_what_is_known_beside_the_features_follows_them_in_groups_of_its_own():
    seen = Description(SPACE, first, pair)
    features = seen(CODES)
    np.testing.assert_array_equal(features[:, :-3], SPACE.features(CODES))
    np.testing.assert_array_equal(features[:, -3], first(CODES))
    np.testing.assert_array_equal(features[:, -2:], pair(CODES))
    own = feature_groups(SPACE)
    np.testing.assert_array_equal(seen.groups[:-3], own)
    np.testing.assert_array_equal(seen.groups[-3:], own.max() + np.array([1, 2, 3]))


def test_no_codes_have_no_rows():
    assert Description(SPACE, first)(CODES[:0]).shape == (0, SPACE.features(CODES).shape[1] + 1)
