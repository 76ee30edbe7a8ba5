"""A space as one of NNI's mutables, and codes as NNI's samples.

    space -> MutableDict of Categorical, one per gene
    code <-> sample {"stages.0.width": "24", ...}

Library: Neural Network Intelligence 3.0, https://github.com/microsoft/nni
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from nas.errors import SpaceError, missing_extra
from nas.search.foreign.tool import NamedGene, canonical, cardinalities_of, words_of
from nas.search.protocol import Codes, CodeSpace

Sample = dict[str, str]
"""NNI's architecture dict: each gene's name and the words of its choice."""


@runtime_checkable
class Named(Protocol):
    """A space whose genes and choices have names."""

    @property
    def genes(self) -> Sequence[NamedGene]:
        """In the order of a code."""


class NniSpace:
    """A space as NNI sees it; codes as NNI's samples, and samples as codes.

    Raises:
        MissingExtraError: NNI is not installed.
    """

    def __init__(self, space: CodeSpace) -> None:
        self._space = space
        self.choices = _choices(space)
        """The words of each gene's choices, by the gene's name."""
        with importing_nni():
            from nni.mutable import Categorical, MutableDict
        self.mutable = MutableDict(
            {name: Categorical(words, label=name) for name, words in self.choices.items()}
        )

    def sample(self, code: Codes) -> Sample:
        """A code (genes,) as NNI's sample."""
        named = zip(self.choices.items(), code, strict=True)
        return {name: words[int(choice)] for (name, words), choice in named}

    def code(self, sample: Sample) -> Codes:
        """The canonical code (genes,) of a sample; `space.decode` makes it an architecture.

        Raises:
            SpaceError: the sample is not of this space.
        """
        code: Codes = canonical(self._space, self.genes(sample)[None])[0]
        return code

    def genes(self, sample: Sample) -> Codes:
        """The choices of a sample as numbers, not made canonical: (genes,).

        Raises:
            SpaceError: the sample is not of this space.
        """
        problem = self.mutable.check_contains(sample)
        if problem is not None:
            raise SpaceError(f"The NNI sample {sample} is not of this space: {problem}.")
        numbers = [words.index(sample[name]) for name, words in self.choices.items()]
        return np.array(numbers, dtype=np.int16)


@contextlib.contextmanager
def importing_nni() -> Iterator[None]:
    """Import from NNI without its deep-learning parts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nni.common import framework

            before = framework.get_default_framework()
            framework.set_default_framework("none")
            try:
                yield
            finally:
                framework.set_default_framework(before)
    except ImportError as error:
        raise missing_extra("nni", "nni", "The NNI adapter") from error


def _choices(space: CodeSpace) -> dict[str, list[str]]:
    """The words of each gene's choices; numbers if the space has no words for them."""
    if not isinstance(space, Named):
        counts = cardinalities_of(space)
        return {f"gene{i}": [str(number) for number in range(n)] for i, n in enumerate(counts)}
    return {gene.name: words_of(gene) for gene in space.genes}
