from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.space_evolution.dimensions import Dimension, dimensions
from nas.space_evolution.plain import plain_of
from nas.space_evolution.quality import Quality
from nas.space_evolution.rule import Decision, apply, decide
from search_spaces import SearchSpace
from search_spaces.definition import read_definition


def _seen(errors: list[float], noise: float = 0.001) -> Quality:
    """A quality whose E-T errors are these, known to `noise`."""
    error = np.array(errors)
    replicates = error + np.random.default_rng(0).normal(0, noise, (400, len(error)))
    return Quality(np.full(len(error), 50.0), error, error, error, replicates)


def _decided(space: SearchSpace, **errors: list[float]) -> list[Decision]:
    """Decisions on the named dimensions (dots as __), nothing sure of the others."""
    wanted = {name.replace("__", "."): seen for name, seen in errors.items()}
    found = []
    for dimension in dimensions(space):
        same = [0.1] * len(dimension.values)
        found.append(decide(dimension, _seen(wanted.pop(dimension.name, same), 1e-9)))
    assert not wanted
    return found


def _one(space: SearchSpace, name: str, errors: list[float], noise: float = 0.001) -> Decision:
    dimension = next(d for d in dimensions(space) if d.name == name)
    return decide(dimension, _seen(errors, noise))


@pytest.mark.parametrize(
    ("name", "errors", "action", "after"),
    [
        ("stages.0.mixers.depthwise.kernel", [0.3, 0.2, 0.1], "shifted", (7, 9, 11)),
        ("stages.0.mixers.depthwise.kernel", [0.1, 0.2, 0.3], "shifted", (3, 5, 7)),
        ("stages.0.mixers.depthwise.kernel", [0.1, 0.1, 0.1], "stays", (5, 7, 9)),
        ("stages.0.mixers.mbconv.kernel", [0.1, 0.2], "refused", (3, 5)),
        ("stages.0.mixers.mbconv.kernel", [0.2, 0.1], "shifted", (5, 7)),
        ("stages.0.channel_mixers.mlp.ratio", [0.1, 0.2], "shifted", (0.5, 1.0)),
        ("stem.conv.stride", [0.2, 0.1], "refused", (2, 1)),
        ("resolution", [0.2, 0.1], "shifted", (12, 16)),
        ("stages.0.width", [0.2, 0.1], "shifted", (24, 32)),
        ("stages.0.width", [0.1, 0.2], "shifted", (8, 16)),
        ("stages.1.width", [0.2, 0.1], "shifted", (48, 80)),
        ("stages.1.width", [0.1, 0.2], "refused", (20, 48)),
        ("stages.1.depth", [0.3, 0.2, 0.1], "shifted", (2, 3, 4)),
        ("stages.1.depth", [0.1, 0.2, 0.3], "narrowed", (1, 2)),
        ("stages.0.depth", [0.1, 0.2], "refused", (1, 2)),
        ("stages.1.downsampling", [0.1, 0.3, 0.1], "dropped", (0, 2)),
        ("stages.1.downsampling", [0.1, 0.1, 0.1], "stays", (0, 1, 2)),
        ("stages.0.channel_mixers", [0.3, 0.1], "refused", (0, 1)),
        ("stages.1.blocks.2.mixers.linear.feature", [0.3, 0.1], "refused", (0, 1)),
    ],
)
def test_a_dimension_takes_one_step_where_it_is_sure(
    space: SearchSpace, name: str, errors: list[float], action: str, after: tuple[Any, ...]
) -> None:
    noise = 1e-9 if action != "stays" else 0.01
    decision = _one(space, name, errors, noise)
    assert decision.action == action, decision.sentence
    if decision.dimension.labels != ("simplified", "focused"):
        assert decision.values == after
    assert decision.sentence


@pytest.mark.parametrize(("noise", "action"), [(0.01, "shifted"), (0.06, "stays")])
def test_a_trend_within_two_standard_errors_moves_nothing(
    space: SearchSpace, noise: float, action: str
) -> None:
    name = "stages.0.mixers.depthwise.kernel"
    assert _one(space, name, [0.3, 0.25, 0.2], noise).action == action


def test_the_worst_of_several_has_to_be_worse_than_chance_makes_one(space: SearchSpace) -> None:
    def rate(values: list[float]) -> float:
        rng = np.random.default_rng(0)
        dimension = next(d for d in dimensions(space) if d.name == "stages.1.downsampling")
        dropped = 0
        for _ in range(400):
            errors = np.array(values) + rng.normal(0, 0.01, 3)
            replicates = errors + rng.normal(0, 0.01, (200, 3))
            seen = Quality(np.full(3, 50.0), errors, errors, errors, replicates)
            dropped += decide(dimension, seen).action == "dropped"
        return dropped / 400

    assert rate([0.1, 0.1, 0.1]) < 0.04
    assert rate([0.1, 0.2, 0.1]) > 0.99


def test_a_value_that_went_does_not_come_back(space: SearchSpace) -> None:
    dimension = next(d for d in dimensions(space) if d.name == "stages.0.width")
    decision = decide(dimension, _seen([0.2, 0.1]), frozenset({"32"}))
    assert decision.action == "refused"
    assert "32 went before" in decision.sentence


def test_a_value_that_was_never_sampled_moves_nothing(space: SearchSpace) -> None:
    decision = _one(space, "stages.0.width", [np.nan, 0.1])
    assert decision.action == "stays"
    assert "none of the architectures has 16" in decision.sentence


def test_the_space_that_results_has_what_was_decided(space: SearchSpace) -> None:
    decisions = _decided(
        space,
        stages__0__mixers=[0.3, 0.1, 0.1],
        stages__0__mixers__depthwise__kernel=[0.3, 0.2, 0.1],
        stages__0__width=[0.2, 0.1],
        stages__1__depth=[0.3, 0.2, 0.1],
    )
    after, plain, settled = apply(plain_of(space.definition), decisions)
    assert [d.dimension.name for d in settled if d.moves] == [
        "stages.0.width",
        "stages.0.mixers",
        "stages.0.mixers.depthwise.kernel",
        "stages.1.depth",
    ]
    early, late = after.definition.stages
    assert early.width == [24, 32]
    assert [group[0].kind for group in early.mixers] == ["depthwise", "mbconv"]
    assert [choice.options.kernel for choice in early.mixers[0]] == [7, 9, 11]  # type: ignore[attr-defined]
    assert early.reference == "depthwise"  # the one before went
    assert late.depth == [2, 3, 4]
    assert late.blocks is not None
    assert late.blocks[3] == late.blocks[2]  # a new block is like the last
    assert after.definition.family_weights == {"pool": 2.0}  # stage 1 still has it
    assert plain == plain_of(after.definition)
    assert len(after.sample(5, np.random.default_rng(0))) == 5


def test_a_block_that_goes_may_have_changed_before(space: SearchSpace) -> None:
    plain = plain_of(space.definition)
    plain["stages"][1]["blocks"][2]["mixers"] += [{"attention": {"head_dim": [16, 32]}}]
    three, plain, _ = apply(plain, [])
    decisions = _decided(
        three,
        stages__1__depth=[0.1, 0.2, 0.3],
        stages__1__blocks__2__mixers=[0.3, 0.1, 0.1],
        stages__1__blocks__2__mixers__attention__head_dim=[0.2, 0.1],
    )
    after, _, settled = apply(plain, decisions)
    assert [d.action for d in settled if d.moves] == ["narrowed", "dropped", "shifted"]
    assert after.definition.stages[1].depth == [1, 2]
    assert len(after.definition.stages[1].blocks or []) == 2


def test_options_of_a_family_that_goes_are_left(space: SearchSpace) -> None:
    decisions = _decided(
        space,
        stages__0__mixers=[0.1, 0.3, 0.1],
        stages__0__mixers__depthwise__kernel=[0.3, 0.2, 0.1],
    )
    after, _, settled = apply(plain_of(space.definition), decisions)
    assert [group[0].kind for group in after.definition.stages[0].mixers] == ["pool", "mbconv"]
    (kernel,) = (
        d
        for d in settled
        if d.dimension.name.endswith("depthwise.kernel") and d.dimension.path[1] == 0
    )
    assert kernel.sentence == "goes with its family."
    assert not kernel.moves


def test_a_family_that_no_stage_has_any_more_loses_its_weight(space: SearchSpace) -> None:
    plain = plain_of(space.definition)
    plain["stages"] = plain["stages"][:1]
    alone, _, _ = apply(plain, [])
    decisions = _decided(alone, stages__0__mixers=[0.3, 0.1, 0.1])
    after, _, settled = apply(plain, decisions)
    assert [d.action for d in settled if d.moves] == ["dropped"]
    assert after.definition.family_weights == {}


def test_a_step_that_the_space_does_not_allow_is_refused_with_the_reason(
    space: SearchSpace,
) -> None:
    plain = plain_of(space.definition)
    decision = _one(space, "stages.0.width", [0.2, 0.1], 1e-9)
    wrong = Decision(**{**vars(decision), "values": (24, 24)})
    after, unchanged, (settled,) = apply(plain, [wrong])
    assert settled.action == "refused"
    assert "the space does not allow it" in settled.sentence
    assert "names a value twice" in settled.sentence
    assert unchanged == plain
    assert after.fingerprint == space.fingerprint


def test_no_dimension_grows_or_falls_below_two_values(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        for dimension in dimensions(space):
            errors = rng.permutation(len(dimension.values)) / 10
            decision = decide(dimension, _seen(errors.tolist(), 1e-9))
            assert 2 <= len(decision.values) <= len(dimension.values)


def test_dimensions_are_what_the_decisions_are_about(space: SearchSpace) -> None:
    found: list[Dimension] = [d.dimension for d in _decided(space)]
    assert [d.name for d in found] == [d.name for d in dimensions(space)]


def test_a_value_of_an_unordered_option_can_go() -> None:
    """Although a family goes in the same step."""
    text = """
schema: 1
name: activations
resolution: 8
stem: [conv: {stride: 2, activation: [none, gelu, relu]}]
stages:
- {width: 8, depth: 1, mixers: [pool, depthwise, mbconv: {squeeze_excite: [false, true, input]}]}
"""
    space = SearchSpace(read_definition(text, "activations"))
    decisions = _decided(
        space,
        stem__conv__activation=[0.3, 0.1, 0.1],
        stages__0__mixers=[0.3, 0.1, 0.1],
        stages__0__mixers__mbconv__squeeze_excite=[0.3, 0.1, 0.1],
    )
    after, _, settled = apply(plain_of(space.definition), decisions)
    assert [d.action for d in settled if d.moves] == ["dropped"] * 3
    assert [choice.options.activation for choice in after.definition.stem[0]] == ["gelu", "relu"]
    depthwise, mbconv = after.definition.stages[0].mixers
    assert [choice.options.squeeze_excite for choice in mbconv] == [True, "input"]


def test_stages_that_run_their_blocks_again_move_as_well() -> None:
    text = """
schema: 1
name: again
resolution: 8
stem: [conv: {stride: 2}]
stages:
- {width: 8, depth: 1, recursion: [1, 2], mixers: [pool]}
"""
    space = SearchSpace(read_definition(text, "again"))
    assert _one(space, "stages.0.recursion", [0.2, 0.1]).values == (2, 3)
    assert _one(space, "stages.0.recursion", [0.1, 0.2]).action == "refused"
