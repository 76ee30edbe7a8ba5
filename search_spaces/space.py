"""A search space: its architectures as integer codes, for computing on many at once.

Codes are (n, genes) integers: resolution, stem; per stage width, depth, downsampling; per block
mixer and channel mixer; position, layout and recursion only where a space offers them. Genes of
blocks beyond a stage's depth are inactive and zero, so every architecture has exactly one code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import NO_POSITION, Architecture, Choice
from search_spaces.coding import Coding
from search_spaces.data_shape import DataShape
from search_spaces.definition import SpaceDefinition, flat, read_file
from search_spaces.errors import SpaceError, unknown_name
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    POSITIONS,
    STEMS,
)
from search_spaces.genes import Gene, families, feature_tables, names, ordinal, ramps
from search_spaces.part_index import PartIndex, build_index
from search_spaces.slots import slots_of

Codes = NDArray[np.int16]
NEIGHBOUR_SHARE = 0.5
"""Share of mutations that go to a neighbour (same family, next option) if there is one."""


def space_names() -> tuple[str, ...]:
    """The spaces that come with the package."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


def load_space(name_or_path: str | Path) -> SearchSpace:
    """A named space, or one from a YAML file.

    Raises:
        SpaceError: the file cannot be read or has mistakes; the message lists all of them.
        UnknownNameError: there is no space of that name.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return SearchSpace(read_file(Path(text)))
    if text not in space_names():
        hint = "A path to a YAML file of your own works too."
        raise unknown_name("space", text, space_names(), hint)
    return SearchSpace(read_file(Path(__file__).parent / f"{text}.yaml"))


class SearchSpace:
    """All architectures that a definition allows."""

    def __init__(self, definition: SpaceDefinition) -> None:
        self.definition = definition
        self.name = definition.name
        self.genes = tuple(_genes(definition))
        self.num_genes = len(self.genes)
        self.cardinalities = np.array([g.cardinality for g in self.genes], dtype=np.int64)
        self._indices: dict[DataShape, PartIndex] = {}
        self._coding = Coding(definition, self.genes)
        place = {gene.name: i for i, gene in enumerate(self.genes)}
        self._depth_gene = np.full(self.num_genes, -1)
        self._block = np.zeros(self.num_genes, dtype=np.int64)
        for i, gene in enumerate(self.genes):
            if gene.block is not None:
                self._depth_gene[i] = place[f"stages.{gene.block[0]}.depth"]
                self._block[i] = gene.block[1]

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits; equal for spaces with equal networks and equal sampling."""
        genes = [
            [g.name, [c.to_dict() if isinstance(c, Choice) else c for c in g.choices], g.weights]
            for g in self.genes
        ]
        fixed = [[s.stride, s.layout[0], s.branch] for s in self.definition.stages]
        content = [genes, fixed, self.definition.norm, self.definition.stem_width]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    # Size, membership, canonical form

    def size(self) -> int:
        """The exact number of architectures."""
        total = 1
        for gene in self.genes:
            if gene.block is None and not gene.name.endswith(".depth"):
                total *= gene.cardinality
        for stage in self.definition.stages:
            blocks = [
                len(stage.mixers_of(j)) * len(stage.channel_mixers_of(j))
                for j in range(max(stage.depth))
            ]
            total *= sum(math.prod(blocks[:depth]) for depth in stage.depth)
        return total

    def active(self, codes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which genes have an effect, (n, genes): all but those of blocks beyond the depth."""
        mask = np.ones(codes.shape, dtype=bool)
        for i in np.flatnonzero(self._depth_gene >= 0):
            depth = self._depth_gene[i]
            depths = np.asarray(self.genes[depth].choices)
            mask[:, i] = depths[codes[:, depth]] > self._block[i]
        return mask

    def canonical(self, codes: NDArray[np.integer]) -> Codes:
        """The codes of the same architectures with inactive genes set to zero."""
        return np.where(self.active(codes), codes, 0).astype(np.int16)

    def contains(self, codes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which rows are canonical codes of this space, (n,)."""
        if codes.ndim != 2 or codes.shape[1] != self.num_genes:
            raise SpaceError(
                f"Codes of '{self.name}' have {self.num_genes} genes; got shape {codes.shape}."
            )
        inside = ((codes >= 0) & (codes < self.cardinalities)).all(axis=1)
        clipped = np.clip(codes, 0, self.cardinalities - 1)
        mask: NDArray[np.bool_] = inside & (self.canonical(clipped) == codes).all(axis=1)
        return mask

    # Populations

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw n codes: families first, then their options; (n, genes)."""
        return self.canonical(self._draw(n, rng))

    def mutate(
        self, codes: NDArray[np.integer], rng: np.random.Generator, rate: float | None = None
    ) -> Codes:
        """Change at least one active gene of each code.

        Args:
            codes: Parents, (n, genes).
            rng: Source of randomness.
            rate: Chance that a gene changes; by default one and a half genes do on average.

        Returns:
            Children, (n, genes). Half of the changes go to a neighbouring choice.
        """
        n = len(codes)
        open_genes = self.active(codes) & (self.cardinalities > 1)
        if rate is None:
            chance = 0.5 / np.maximum(1, open_genes.sum(axis=1))[:, None]
        else:
            chance = np.full((n, 1), rate)
        forced = np.where(open_genes, rng.random(codes.shape), -1.0).argmax(axis=1)
        change = rng.random(codes.shape) < chance
        change[np.arange(n), forced] = True
        change &= open_genes
        filled = self._filled(codes, rng)
        for i, gene in enumerate(self.genes):
            rows = np.flatnonzero(change[:, i])
            if len(rows):
                filled[rows, i] = _other_choice(gene, filled[rows, i], rng)
        return self.canonical(filled)

    def crossover(
        self,
        first: NDArray[np.integer],
        second: NDArray[np.integer],
        rng: np.random.Generator,
    ) -> Codes:
        """Take each gene from either parent, or from the one in which it is active.

        All are (n, genes).
        """
        active = self.active(first)
        either = active == self.active(second)
        own = np.where(either, rng.random(first.shape) < 0.5, active)
        return self.canonical(np.where(own, first, second))

    def smallest(self, rng: np.random.Generator | None = None, alike: bool = False) -> Codes:
        """The code with every ordinal gene at its lower end, (genes,).

        Args:
            rng: Draws the families; without it they are the space's reference families.
            alike: Whether all blocks are of one family as far as they offer it.
        """
        return self._extreme(False, rng, alike)

    def largest(self, rng: np.random.Generator | None = None, alike: bool = False) -> Codes:
        """The code with every ordinal gene at its upper end, (genes,); as `smallest`."""
        return self._extreme(True, rng, alike)

    def features(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Features for surrogates, (n, features), all within [0, 1].

        Each gene's options, zero where it is inactive, and their means over each stage's greatest
        depth; equal options give equal features in every block.
        """
        active = self.active(codes)
        columns: list[NDArray[np.float32]] = []
        means: dict[tuple[int, str], NDArray[np.float32]] = {}
        for i, gene in enumerate(self.genes):
            seen = self._feature_tables[i][codes[:, i]] * active[:, i, None]
            columns.append(seen)
            if gene.block is not None:
                stage = gene.block[0]
                share = seen / np.float32(max(self.definition.stages[stage].depth))
                means[stage, gene.role] = means.get((stage, gene.role), np.float32(0)) + share
        # A mean over 14 blocks, summed in single precision, may be one rounding above 1.
        bounded = [np.minimum(mean, np.float32(1)) for mean in means.values()]
        return np.concatenate([*columns, *bounded], axis=1)

    @cached_property
    def feature_groups(self) -> NDArray[np.int64]:
        """The number of each feature's factor, (features,); blocks of a stage share factors."""
        names: list[str] = []
        means: dict[str, int] = {}
        for gene, table in zip(self.genes, self._feature_tables, strict=True):
            names += [gene.factor] * table.shape[1]
            if gene.block is not None:
                means[f"mean of {gene.factor}"] = table.shape[1]
        names += [name for name, width in means.items() for _ in range(width)]
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        return np.array([number[name] for name in names])

    # Architectures

    def decode(self, code: NDArray[np.integer]) -> Architecture:
        """The architecture of one canonical code, (genes,)."""
        if not self.contains(code[None])[0]:
            raise SpaceError(f"{code.tolist()} is no canonical code of '{self.name}'.")
        return self._coding.architecture(tuple(int(c) for c in code))

    def encode(self, architecture: Architecture) -> Codes:
        """The code of an architecture, (genes,).

        Raises:
            SpaceError: it is not in this space; the message names what differs.
        """
        code = self._coding.code(architecture)
        if not self.contains(code[None])[0] or self.decode(code) != architecture:
            raise SpaceError(
                f"Architecture {architecture.id} is not in '{self.name}': its stages, strides, "
                "layout, branch or norm are not the space's."
            )
        return code

    # Parts

    def part_index(self, data_shape: DataShape = DataShape()) -> PartIndex:
        """Tables from codes to the distinct parts of this space."""
        if data_shape not in self._indices:
            slots = slots_of(self.definition, data_shape)
            self._indices[data_shape] = build_index(self.genes, slots)
        return self._indices[data_shape]

    def restrict(self, resolution: int) -> SearchSpace:
        """The part of this space at one resolution.

        Raises:
            SpaceError: the space does not offer it.
        """
        return self.at([resolution])

    def at(self, resolutions: list[int]) -> SearchSpace:
        """The part of this space at these resolutions, smallest first.

        Raises:
            SpaceError: the space does not offer one of them.
        """
        known = self.definition.resolution
        for resolution in resolutions:
            if resolution not in known:
                raise SpaceError(
                    f"'{self.name}' has no resolution {resolution}; it has "
                    f"{', '.join(map(str, known))}."
                )
        if self.definition.resolution == resolutions:
            return self
        return SearchSpace(self.definition.model_copy(update={"resolution": resolutions}))

    # Private

    def _draw(self, n: int, rng: np.random.Generator) -> Codes:
        uniform = rng.random((self.num_genes, n))
        codes = np.empty((n, self.num_genes), dtype=np.int16)
        for i, gene in enumerate(self.genes):
            codes[:, i] = np.searchsorted(gene.cumulative, uniform[i], side="right")
        return codes

    def _filled(self, codes: NDArray[np.integer], rng: np.random.Generator) -> Codes:
        """Codes with random inactive genes: a block that becomes active can be anything."""
        return np.where(self.active(codes), codes, self._draw(len(codes), rng)).astype(np.int16)

    def _extreme(self, largest: bool, rng: np.random.Generator | None, alike: bool) -> Codes:
        code, ranks = [], dict[tuple[str, str], float]()
        for gene in self.genes:
            order = None
            if rng is not None:
                of = gene.role if alike else gene.name
                order = {kind: ranks.setdefault((of, kind), rng.random()) for kind in gene.kinds}
            code.append(gene.extreme(largest, order))
        extreme: Codes = self.canonical(np.array([code], dtype=np.int16))[0]
        return extreme

    @cached_property
    def _feature_tables(self) -> list[NDArray[np.float32]]:
        return feature_tables(self.genes)


def _genes(definition: SpaceDefinition) -> Iterator[Gene]:
    """All genes, in the order of the codes."""
    weights = definition.family_weights
    yield ordinal("resolution", definition.resolution)
    yield families("stem", flat(definition.stem), STEMS)
    if flat(definition.position) != [NO_POSITION]:
        yield families("position", flat(definition.position), POSITIONS)
    for i, stage in enumerate(definition.stages):
        at = f"stages.{i}"
        yield ordinal(f"{at}.width", stage.width)
        yield ordinal(f"{at}.depth", stage.depth)
        if stage.downsampling is not None:
            yield families(f"{at}.downsampling", flat(stage.downsampling), DOWNSAMPLINGS)
        if len(stage.layout) > 1:
            yield names(f"{at}.layout", stage.layout)
        if stage.recursion != [1]:
            yield ordinal(f"{at}.recursion", stage.recursion)
        for name, choices in stage.ramps.items():
            yield ramps(f"{at}.ramps.{name}", choices)
        for j in range(max(stage.depth)):
            mixers, channels = stage.mixers_of(j), stage.channel_mixers_of(j)
            kinds = {choice.kind for choice in mixers}
            reference = stage.reference if stage.reference in kinds else None
            name = f"{at}.blocks.{j}.mixer"
            idle = "identity" if {choice.kind for choice in channels} == {"none"} else "none"
            yield families(name, mixers, MIXERS, reference, weights, (i, j), idle)
            name = f"{at}.blocks.{j}.channel_mixer"
            yield families(name, channels, CHANNEL_MIXERS, None, weights, (i, j))
    yield families("head", flat(definition.head), HEADS)


def _other_choice(gene: Gene, current: Codes, rng: np.random.Generator) -> Codes:
    """Another choice for each row: half the time a neighbour, else any other one."""
    uniform = (current + rng.integers(1, gene.cardinality, len(current))) % gene.cardinality
    table, counts = gene.neighbours
    pick = (rng.random(len(current)) * counts[current]).astype(np.int64)
    near = (rng.random(len(current)) < NEIGHBOUR_SHARE) & (counts[current] > 0)
    return np.where(near, table[current, pick], uniform).astype(np.int16)
