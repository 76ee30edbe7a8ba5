from __future__ import annotations

import numpy as np
import pytest

from supernet.scores import accuracy_interval, difference


def test_the_interval_of_an_accuracy_is_that_of_wilson() -> None:
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z = 1.645
    assert accuracy_interval(0.5, 100) == pytest.approx((0.4189, 0.5811), abs=1e-4)
    assert accuracy_interval(0.0, 10) == pytest.approx((0.0, 0.2129), abs=1e-4)
    assert accuracy_interval(1.0, 10)[1] == 1.0


def test_a_difference_counts_images_that_one_alone_has_right() -> None:
    ours = [True] * 8 + [False] * 2
    theirs = [True] * 5 + [False] * 5
    found = difference(ours, theirs)
    assert found.value == pytest.approx(0.3)
    # 3 of 3: 0.05^(1/3) = 0.368 to 1 of three images in ten
    assert (found.low, found.high) == pytest.approx(((2 * 0.3684 - 1) * 0.3, 0.3), abs=1e-4)
    assert difference(theirs, ours).high == pytest.approx(-found.low)


def test_equal_answers_leave_room_for_a_rare_difference() -> None:
    found = difference([True] * 20, [True] * 20)
    assert found.value == 0.0 and found.low == -found.high
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 20), abs=1e-6)


def test_the_interval_covers_the_true_difference() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        both, mine, theirs = (rng.random(150) < p for p in (0.7, 0.5, 0.3))
        found = difference((both | mine).tolist(), (both | theirs).tolist())
        inside += found.low <= 0.3 * 0.2 <= found.high
    assert 0.88 <= inside / 400 <= 0.99
