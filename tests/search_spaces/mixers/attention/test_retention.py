"""Manhattan retention equals its formula, written with complex numbers and pair by pair."""

from __future__ import annotations

import cmath
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from search_spaces.mixers.attention.retention import Retention, RetentionOptions, _fraction

HEIGHT, WIDTH = 3, 4
Turned = list[list[complex]]


def turned(t: Tensor) -> list[Turned]:
    """Channels i and i + d/2 of each head as a complex number times e^(i n theta)."""
    heads = []
    for head in range(t.shape[1] // 16):
        rows = []
        for n, row in enumerate(t[:, 16 * head : 16 * (head + 1)].tolist()):
            slowness = [10000 ** -(c / 7) for c in range(8)]
            pairs = zip(row[:8], row[8:], slowness, strict=True)
            rows.append([complex(a, b) * cmath.exp(1j * n * s) for a, b, s in pairs])
        heads.append(rows)
    return heads


def attention(q: Turned, k: Turned, at: list[int], kept: float) -> Tensor:
    """Softmax scores among some positions, times the decay over the Manhattan distance."""
    scores = torch.zeros(len(at), len(at), dtype=torch.float64)
    decay = torch.zeros_like(scores)
    for a, i in enumerate(at):
        for b, j in enumerate(at):
            scores[a, b] = sum((x * y.conjugate()).real for x, y in zip(q[i], k[j], strict=True))
            steps = abs(i // WIDTH - j // WIDTH) + abs(i % WIDTH - j % WIDTH)
            decay[a, b] = kept**steps
    return (scores / 4).softmax(1) * decay


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(20, 1), (48, 3)])
def test_retention_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, whole: bool
) -> None:
    own = randomised(Retention(width, RetentionOptions(whole, 16)))
    x = torch.randn(1, width, HEIGHT, WIDTH, dtype=torch.float64)
    t = x[0].flatten(1).T
    values = own.v(t)
    q, k = turned(own.q(t)), turned(own.k(t))
    every = HEIGHT * WIDTH
    outputs = []
    for head in range(heads):
        v = values[:, 16 * head : 16 * (head + 1)]
        kept = 1 - 2 ** (-2 - 4 * [0, 0.5, 0.25][head])
        if whole:
            outputs.append(attention(q[head], k[head], list(range(every)), kept) @ v)
            continue
        rows = [list(range(n, n + WIDTH)) for n in range(0, every, WIDTH)]
        columns = [list(range(n, every, WIDTH)) for n in range(WIDTH)]
        for lines in (rows, columns):
            mixed = torch.zeros_like(v)
            for line in lines:
                mixed[line] = attention(q[head], k[head], line, kept) @ v[line]
            v = mixed
        outputs.append(v)
    maps = values.T.reshape(1, -1, HEIGHT, WIDTH)
    y = torch.cat(outputs, 1) + own.local(maps)[0].flatten(1).T
    expected = own.project(y).T.reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("heads", [2, 4, 8, 16])
def test_the_fractions_of_the_first_heads_are_even_steps(heads: int) -> None:
    fractions = sorted(_fraction(head) for head in range(heads))
    assert fractions == [i / heads for i in range(heads)]
