"""Codes of a space: size, membership, populations, extremes and features."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch

from search_spaces import SearchSpace, load_space, space_names
from search_spaces.definition import read_definition
from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.genes import feature_tables

CHAIN = """
schema: 1
name: chain
resolution: [8, 9, 12]
stem: [conv: {stride: [1, 2]}, patchify]
stages:
- width: [16, 20]
  depth: [0, 1, 2]
  reference: depthwise
  mixers: [depthwise: {kernel: [3, 5]}, pool, identity]
  channel_mixers: &ffn [none, mlp: {ratio: [1, 2]}]
- width: 24
  depth: [1, 3]
  stride: 2
  downsampling: [conv, pool]
  mixers: [attention, channel: {head_dim: [16, 32]}]
  channel_mixers: *ffn
"""

PER_BLOCK = """
schema: 1
name: per-block
norm: batch
resolution: 16
stem: conv
stem_width: 8
stages:
- width: [16, 32]
  depth: [1, 2, 3]
  stride: 2
  layout: bare
  reference: mbconv
  mixers: &mixers [identity, mbconv: {kernel: [3, 5, 7], norm: batch}]
  blocks:
  - {mixers: identity}
  - {}
  - {mixers: [mbconv: {expand: [2, 4]}], channel_mixers: [none, glu]}
head: [linear, conv: {width: [320, 640]}]
family_weights: {identity: 3, mbconv: 1}
"""

SMALL = {"chain": CHAIN, "per-block": PER_BLOCK}
SPACES = [*SMALL, *space_names()]


def make(name: str) -> SearchSpace:
    if name not in SMALL:
        return load_space(name)
    return SearchSpace(read_definition(SMALL[name], f"{name}.yaml"))


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return make(request.param)


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest) -> SearchSpace:
    return make(request.param)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def every_code(space: SearchSpace) -> np.ndarray:
    """All rows of gene values that make a canonical code, by trying every combination."""
    grid = np.array(list(itertools.product(*map(range, space.cardinalities))), dtype=np.int16)
    return grid[space.contains(grid)]


def test_a_named_space_has_the_name_of_its_file() -> None:
    assert space_names()
    assert [load_space(name).name for name in space_names()] == list(space_names())


def test_the_size_of_a_space_is_the_number_of_its_architectures() -> None:
    space = make("per-block")
    codes = every_code(space)
    assert len(codes) == space.size()
    assert len({space.decode(code).id for code in codes}) == space.size()


def test_the_size_of_a_space_counts_only_active_blocks() -> None:
    resolution, stem = 3, 3
    first = 2 * (1 + 12 + 12**2)  # widths; 4 mixers times 3 channel mixers in each block
    second = 2 * (9 + 9**3)  # downsamplings; 3 mixers times 3 channel mixers
    assert make("chain").size() == resolution * stem * first * second


def test_the_hybrid_spaces_are_too_large_to_enumerate() -> None:
    assert load_space("hybrid-tiny").size() > 10**12
    assert load_space("hybrid-cifar").size() > 10**12
    assert load_space("hybrid-224").size() > 10**20


def test_encoding_a_decoded_code_gives_it_back(space: SearchSpace) -> None:
    codes = space.sample(100, rng())
    again = np.stack([space.encode(space.decode(code)) for code in codes])
    np.testing.assert_array_equal(again, codes)


def test_different_codes_have_different_ids(space: SearchSpace) -> None:
    codes = np.unique(space.sample(300, rng()), axis=0)
    assert len({space.decode(code).id for code in codes}) == len(codes)


def test_samples_are_canonical_codes(space: SearchSpace) -> None:
    codes = space.sample(1000, rng())
    assert codes.shape == (1000, space.num_genes)
    assert codes.dtype == np.int16
    assert space.contains(codes).all()
    np.testing.assert_array_equal(space.canonical(codes), codes)
    assert space.sample(0, rng()).shape == (0, space.num_genes)


def test_samples_show_every_choice_of_every_gene(space: SearchSpace) -> None:
    codes = space.sample(5000, rng())
    active = space.active(codes)
    for i, gene in enumerate(space.genes):
        assert set(codes[active[:, i], i]) == set(range(gene.cardinality)), gene.name


def test_a_set_inactive_gene_or_a_foreign_value_is_no_canonical_code(small: SearchSpace) -> None:
    codes = small.sample(200, rng())
    inactive = ~small.active(codes) & (small.cardinalities > 1)
    rows, genes = np.nonzero(inactive)
    assert len(rows) > 0
    wrong = codes.copy()
    wrong[rows[0], genes[0]] = 1
    assert not small.contains(wrong)[rows[0]]
    np.testing.assert_array_equal(small.canonical(wrong), codes)
    for value in (-1, 99):
        wrong = codes.copy()
        wrong[0, 0] = value
        assert small.contains(wrong)[1:].all()
        assert not small.contains(wrong)[0]


@pytest.mark.parametrize(
    ("name", "weights"), [("hybrid-tiny", {}), ("per-block", {"identity": 3.0, "mbconv": 1.0})]
)
def test_samples_draw_families_by_weight_and_then_options_evenly(
    name: str, weights: dict[str, float]
) -> None:
    space, n = make(name), 20_000
    codes = space.sample(n, rng(1))
    active = space.active(codes)
    for i, gene in enumerate(space.genes):
        if gene.role not in ("mixer", "channel_mixer"):
            continue
        drawn = codes[active[:, i], i]
        total = sum(weights.get(kind, 1.0) for kind in dict.fromkeys(gene.kinds))
        counts = Counter(gene.kinds)
        for choice, kind in enumerate(gene.kinds):
            expected = weights.get(kind, 1.0) / total / counts[kind]
            spread = (expected * (1 - expected) / len(drawn)) ** 0.5
            assert abs((drawn == choice).mean() - expected) <= 5 * spread, (gene.name, choice)


def test_a_mutation_changes_an_active_gene_and_stays_in_the_space(space: SearchSpace) -> None:
    parents = space.sample(2000, rng(1))
    for rate in (None, 0.0, 0.5):
        children = space.mutate(parents, rng(2), rate)
        assert space.contains(children).all()
        changed = (children != parents) & space.active(parents)
        assert changed.any(axis=1).all()


def test_a_mutation_of_rate_zero_changes_one_gene_and_what_hangs_on_it(space: SearchSpace) -> None:
    parents = space.sample(2000, rng(1))
    children = space.mutate(parents, rng(2), rate=0.0)
    lasting = space.active(parents) & space.active(children)
    assert (((children != parents) & lasting).sum(axis=1) == 1).all()


def test_a_mutation_prefers_the_next_option_of_the_same_family() -> None:
    space = load_space("hybrid-tiny")
    mixers = [i for i, gene in enumerate(space.genes) if gene.role == "mixer"]
    parents = space.sample(4000, rng(1))
    children = space.mutate(parents, rng(2))
    near = far = 0
    for i in mixers:
        table, counts = space.genes[i].neighbours
        lasting = space.active(parents)[:, i] & space.active(children)[:, i]
        for a, b in zip(parents[lasting, i], children[lasting, i], strict=True):
            if a != b and counts[a]:
                near += b in table[a, : counts[a]]
                far += b not in table[a, : counts[a]]
    assert near > far


def test_neighbours_differ_by_one_step_of_one_option() -> None:
    text = CHAIN.replace("pool,", "mbconv: {kernel: [3, 5, 7], expand: [1, 4]},", 1)
    gene = SearchSpace(read_definition(text, "x")).genes[4]
    table, counts = gene.neighbours
    options = [choice.options for choice in gene.choices]
    for i, one in enumerate(options):
        found = {int(j) for j in table[i, : counts[i]]}
        for j, other in enumerate(options):
            same_kind = gene.kinds[i] == gene.kinds[j]
            steps = 99.0
            if same_kind and gene.kinds[i] == "mbconv":
                steps = abs(one.kernel - other.kernel) / 2 + abs(one.expand - other.expand) / 3
            elif same_kind and gene.kinds[i] == "depthwise":
                steps = abs(one.kernel - other.kernel) / 2
            assert (j in found) == (steps == 1)


def test_a_space_of_one_architecture_mutates_into_itself() -> None:
    text = """{schema: 1, name: one, resolution: 8, stem: conv,
    stages: [{width: 8, depth: 1, mixers: pool}]}"""
    space = SearchSpace(read_definition(text, "one"))
    assert space.size() == 1
    codes = space.sample(3, rng())
    np.testing.assert_array_equal(space.mutate(codes, rng()), codes)


def test_a_crossover_takes_each_gene_from_a_parent_in_which_it_is_active(
    space: SearchSpace,
) -> None:
    first, second = space.sample(2000, rng(1)), space.sample(2000, rng(2))
    child = space.crossover(first, second, rng(3))
    assert space.contains(child).all()
    from_first = (child == first) & space.active(first)
    from_second = (child == second) & space.active(second)
    assert (from_first | from_second)[space.active(child)].all()
    assert (child != first).any(axis=1).mean() > 0.5
    assert (child != second).any(axis=1).mean() > 0.5
    np.testing.assert_array_equal(space.crossover(first, first, rng(3)), first)


def test_results_depend_on_the_generator_only(space: SearchSpace) -> None:
    def results() -> list[np.ndarray]:
        own = rng(5)
        codes = space.sample(50, own)
        children = [space.mutate(codes, own), space.crossover(codes, codes[::-1], own)]
        return [codes, *children, space.smallest(own), space.largest(own)]

    np.random.seed(1)
    random.seed(1)
    torch.manual_seed(1)
    first = results()
    np.random.seed(2)
    random.seed(2)
    torch.manual_seed(2)
    for one, other in zip(first, results(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_smallest_and_the_largest_architecture_bound_every_number(space: SearchSpace) -> None:
    for generator in (None, rng(3)):
        small, large = space.smallest(generator), space.largest(generator)
        assert space.contains(np.stack([small, large])).all()
        for i, gene in enumerate(space.genes):
            if not gene.kinds[0]:
                assert small[i] == 0
                assert large[i] == gene.cardinality - 1


def test_the_extremes_use_the_spaces_reference_families() -> None:
    space = make("chain")
    small, large = space.decode(space.smallest()), space.decode(space.largest())
    assert (small.resolution, large.resolution) == (8, 12)
    assert [len(stage.blocks) for stage in small.stages] == [0, 1]
    assert [len(stage.blocks) for stage in large.stages] == [2, 3]
    assert [str(block.mixer) for block in large.stages[0].blocks] == ["depthwise(kernel=5)"] * 2
    assert str(small.stages[1].blocks[0].mixer) == "attention(head_dim=16)"
    assert {str(b.channel_mixer) for s in large.stages for b in s.blocks} == {"mlp(ratio=2.0)"}
    assert str(small.stages[1].blocks[0].channel_mixer) == "none"


def test_extremes_drawn_with_a_generator_show_every_family() -> None:
    space = make("chain")
    own, kinds = rng(), set()
    for _ in range(50):
        architecture = space.decode(space.largest(own))
        kinds |= {block.mixer.kind for stage in architecture.stages for block in stage.blocks}
        for block in architecture.stages[0].blocks:
            assert str(block.mixer) in ("depthwise(kernel=5)", "pool(size=3)", "identity")
    assert kinds == {"depthwise", "pool", "identity", "attention", "channel"}


def test_only_small_children_have_blocks_that_do_nothing() -> None:
    space, own = load_space("macro"), rng()

    def kinds(code: np.ndarray) -> set[str]:
        return {block.mixer.kind for stage in space.decode(code).stages for block in stage.blocks}

    assert all(kinds(space.largest(own)) == {"mbconv"} for _ in range(20))
    assert all(kinds(space.largest(own, alike=True)) == {"mbconv"} for _ in range(20))
    assert any("identity" in kinds(space.smallest(own)) for _ in range(20))


def test_alike_extremes_have_one_family_in_all_blocks_that_offer_it() -> None:
    space, own, kinds = load_space("hybrid-tiny"), rng(), set()
    for _ in range(60):
        architecture = space.decode(space.largest(own, alike=True))
        blocks = [stage.blocks for stage in architecture.stages]
        assert all(len({block.mixer.kind for block in each}) == 1 for each in blocks)
        assert len({block.channel_mixer.kind for each in blocks for block in each}) == 1
        own_of_each = [each[0].mixer.kind for each in blocks]
        # Both of the last stages offer both of these, so one cannot win here and the other there.
        assert set(own_of_each[1:]) != {"attention", "depthwise"}
        kinds |= set(own_of_each)
    assert kinds == {k for gene in space.genes if gene.role == "mixer" for k in gene.kinds}


def test_features_are_bounded_and_tell_architectures_apart(space: SearchSpace) -> None:
    codes = np.unique(space.sample(1000, rng()), axis=0)
    features = space.features(codes)
    assert features.dtype == np.float32
    assert features.min() >= 0.0
    assert features.max() <= 1.0
    assert len(np.unique(features, axis=0)) == len(codes)
    np.testing.assert_array_equal(space.features(codes[5:9]), features[5:9])


def test_equal_options_have_equal_features_in_every_block() -> None:
    space = load_space("hybrid-cifar")
    seen: dict[tuple[str, str], list[np.ndarray]] = {}
    for gene, table in zip(space.genes, feature_tables(space.genes), strict=True):
        if gene.block is not None:
            for choice, row in zip(gene.choices, table, strict=True):
                seen.setdefault((gene.role, str(choice)), []).append(row)
    assert len(seen) > 30
    for key, rows in seen.items():
        for row in rows[1:]:
            np.testing.assert_array_equal(row, rows[0], err_msg=str(key))


def test_a_restricted_space_keeps_the_architectures_of_one_resolution() -> None:
    space = make("chain")
    narrow = space.restrict(9)
    assert narrow.size() * 3 == space.size()
    for code in narrow.sample(20, rng()):
        architecture = narrow.decode(code)
        assert architecture.resolution == 9
        assert space.decode(space.encode(architecture)) == architecture


def test_a_resolution_that_a_space_does_not_offer_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"'chain' has no resolution 32; it has 8, 9, 12\."):
        make("chain").restrict(32)


def test_codes_of_another_shape_are_refused() -> None:
    space = make("chain")
    shape = rf"Codes of 'chain' have {space.num_genes} genes; got shape \(2, 3\)"
    with pytest.raises(SpaceError, match=shape):
        space.contains(np.zeros((2, 3), dtype=np.int16))


def test_a_code_that_is_not_canonical_does_not_decode() -> None:
    space = make("chain")
    with pytest.raises(SpaceError, match=r"\[9, 0, .* is no canonical code of 'chain'"):
        space.decode(np.array([9] + [0] * (space.num_genes - 1)))


def test_an_architecture_of_another_space_is_refused_with_what_differs() -> None:
    space = make("chain")
    other = SearchSpace(read_definition(CHAIN.replace("[8, 9, 12]", "16"), "other"))
    with pytest.raises(SpaceError, match="is not in 'chain': its resolution is 16, which"):
        space.encode(other.decode(other.smallest()))
    text = CHAIN.replace("kernel: [3, 5]", "kernel: [3, 7]")
    other = SearchSpace(read_definition(text, "other"))
    message = r"its stages\.0\.blocks\.0\.mixer is depthwise\(kernel=7\), which the space does"
    with pytest.raises(SpaceError, match=message):
        space.encode(other.decode(other.largest()))
    text = CHAIN.replace("name: chain", "name: chain\nnorm: batch")
    other = SearchSpace(read_definition(text, "other"))
    with pytest.raises(SpaceError, match="its stages, strides, layout, branch or norm are not"):
        space.encode(other.decode(other.largest()))


def test_an_unknown_space_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_space("hybrid-tny")
    assert str(caught.value) == (
        "Unknown space 'hybrid-tny'. Did you mean 'hybrid-tiny'? "
        f"Known: {', '.join(space_names())}. A path to a YAML file of your own works too."
    )
