"""Registries fill themselves, and families read their options."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
from torch import nn

import search_spaces
from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    STEMS,
    Family,
    Options,
    choice,
)
from search_spaces.registry import Registry


@dataclass(frozen=True)
class ExampleOptions(Options):
    size: int = choice(1, 2, 4, default=2)
    fast: bool = choice(False, True)
    ratio: float = choice(1.0, 2.5)


def family(name: str = "example") -> Family:
    return Family(name, ExampleOptions, nn.ReLU, "https://example.org", nested=("size",))


def test_a_registry_is_full_without_any_other_import() -> None:
    code = "from search_spaces.family import *; print(*map(len, {}))"
    registries = "(MIXERS, CHANNEL_MIXERS, STEMS, DOWNSAMPLINGS, HEADS)"
    lengths = subprocess.check_output([sys.executable, "-c", code.format(registries)], text=True)
    here = map(len, (MIXERS, CHANNEL_MIXERS, STEMS, DOWNSAMPLINGS, HEADS))
    assert list(map(int, lengths.split())) == list(here)
    assert "0" not in lengths.split()


def test_a_family_must_say_what_is_nested() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'nested'"):
        Family("example", ExampleOptions, nn.ReLU, "https://example.org")  # type: ignore[call-arg]


def test_a_group_is_the_folder_of_the_modules_file() -> None:
    assert family().group == "modules"  # torch/nn/modules/activation.py


def test_a_registry_keeps_the_order_of_registration() -> None:
    own: Registry[Family] = Registry("example", "search_spaces.heads")
    for name in ("b", "a"):
        own.register(family(name))
    assert own.names() == ("b", "a")
    assert [each.name for each in own] == ["b", "a"]
    assert len(own) == 2


def test_a_name_can_be_registered_once() -> None:
    own: Registry[Family] = Registry("example", "search_spaces.heads")
    own.register(family())
    with pytest.raises(ValueError, match=r"The example 'example' is registered twice\."):
        own.register(family())


def test_an_unknown_family_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown mixer family 'winodw'\. Did you mean 'w"):
        MIXERS["winodw"]


def test_options_have_their_defaults_and_all_combinations() -> None:
    assert ExampleOptions() == ExampleOptions(2, False, 1.0)
    assert len({*family().every_options()}) == 3 * 2 * 2
    assert family().choices() == {"size": (1, 2, 4), "fast": (False, True), "ratio": (1.0, 2.5)}


def test_a_tacit_option_is_mentioned_only_where_it_differs_from_its_default() -> None:
    @dataclass(frozen=True)
    class LaterOptions(ExampleOptions):
        bias: bool = choice(False, True, default=True, tacit=True)

    assert LaterOptions().said() == {"size": 2, "fast": False, "ratio": 1.0}
    assert LaterOptions(bias=False).said() == LaterOptions().said() | {"bias": False}


def test_lists_of_values_stand_for_every_combination() -> None:
    read = family().parse({"ratio": [1, 2.5], "size": [4, 1]})
    assert read == [
        ExampleOptions(4, False, 1.0),
        ExampleOptions(1, False, 1.0),
        ExampleOptions(4, False, 2.5),
        ExampleOptions(1, False, 2.5),
    ]
    assert all(isinstance(options.ratio, float) for options in read)


def test_numbers_and_truth_values_are_not_mixed_up() -> None:
    with pytest.raises(SpaceError, match=r"'example\.size' is True; it can be 1, 2, 4\."):
        family().parse({"size": True})
    with pytest.raises(SpaceError, match=r"'example\.fast' is 1; it can be False, True\."):
        family().parse({"fast": 1})


def test_all_wrong_options_are_named_together() -> None:
    with pytest.raises(SpaceError) as caught:
        family().parse({"sise": 1, "fast": [], "ratio": [1.0, 3.0]})
    assert str(caught.value) == (
        "Unknown option of 'example' 'sise'. Did you mean 'size'? Known: fast, ratio, size. "
        "'example.fast' is an empty list; give at least one value. "
        "'example.ratio' is 3.0; it can be 1.0, 2.5."
    )


def test_the_summary_is_the_first_line_of_the_modules_docstring() -> None:
    assert MIXERS["depthwise"].summary.startswith("One depthwise convolution;")
    for role in (CHANNEL_MIXERS, STEMS, DOWNSAMPLINGS, HEADS):
        assert all(each.summary.endswith(".") for each in role)


def test_a_name_that_the_package_does_not_have_is_refused() -> None:
    with pytest.raises(AttributeError, match="'search_spaces' has no attribute 'load_spaces'"):
        search_spaces.load_spaces  # noqa: B018
