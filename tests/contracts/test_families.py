"""A mixer is one file: the registry holds what lies in the folders, and each says what it is."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import search_spaces.mixers
from search_spaces.architecture import Choice
from search_spaces.family import MIXERS, Family
from search_spaces.parts import REGISTRIES, Part

FILES = [
    path
    for folder in search_spaces.mixers.__path__
    for path in Path(folder).rglob("*.py")
    if path.stem != "__init__"
]
TESTS = Path(__file__).parents[1] / "search_spaces"
EVERY = [family for registry in REGISTRIES.values() for family in registry]
every_mixer = pytest.mark.parametrize("mixer", MIXERS, ids=lambda family: family.name)


def test_each_file_below_mixers_registers_the_family_of_its_name_in_its_folders_group() -> None:
    assert FILES
    registered = sorted((family.group, family.name) for family in MIXERS)
    assert registered == sorted((path.parent.name, path.stem) for path in FILES)


def test_a_group_and_a_family_of_one_name_belong_together() -> None:
    groups = {family.group for family in MIXERS}
    assert {f.name: f.group for f in MIXERS if f.name in groups and f.group != f.name} == {}


@pytest.mark.parametrize("family", EVERY, ids=lambda family: f"{family.group}-{family.name}")
def test_nested_names_the_width_or_an_option(family: Family) -> None:
    assert set(family.nested) <= {"dim", *family.choices()}


def test_options_that_share_a_meaning_are_of_one_role_and_one_unit() -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for role, registry in REGISTRIES.items():
        for family in registry:
            for field in dataclasses.fields(family.options):
                if meaning := field.metadata["meaning"]:
                    found.setdefault(meaning, set()).add((role, field.metadata["unit"]))
    assert found
    assert {meaning: uses for meaning, uses in found.items() if len(uses) > 1} == {}


def test_what_a_family_is_compared_with_is_imported_by_a_test_and_there_are_enough() -> None:
    tests = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    compared = [family for family in EVERY if family.reference]
    for family in compared:
        module, _, name = family.reference.rpartition(".")
        assert re.search(rf"from {re.escape(module)} import .*\b{name}\b", tests), family
    assert len(compared) >= 20


@every_mixer
def test_tensors_of_a_module_are_contiguous_so_that_every_format_can_hold_them(
    mixer: Family,
) -> None:
    for options in mixer.every_options():
        module = Part("mixer", Choice(mixer.name, options), 32, 32, 7, 1, "layer").build()
        assert [name for name, t in module.state_dict().items() if not t.is_contiguous()] == []


DEPLOYED = [
    (role, family)
    for role, registry in REGISTRIES.items()
    for family in registry
    if family.deployed is not None
]


@pytest.mark.parametrize(("role", "family"), DEPLOYED, ids=lambda x: getattr(x, "name", x))
def test_what_a_module_is_deployed_as_computes_the_same(role: str, family: Family) -> None:
    torch.manual_seed(0)
    for options in family.every_options():
        part = Part(role, Choice(family.name, options), 20, 20, 7, 1, "layer")
        module, plain = part.build().body.double().eval(), part.deployed()
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                (nn.init.uniform_ if name.endswith("var") else nn.init.normal_)(tensor)
        settled, x = module.settled().eval(), torch.randn(2, 20, 7, 7, dtype=torch.float64)
        torch.testing.assert_close(settled(x), module(x), rtol=1e-9, atol=1e-9)
        plain.build().body.load_state_dict(settled.state_dict())
        assert plain.deployed() == plain


def test_there_are_families_that_are_deployed_as_others() -> None:
    assert len(DEPLOYED) >= 4


@every_mixer
def test_a_mixers_file_gives_its_equation_what_is_elastic_and_its_paper(mixer: Family) -> None:
    said = importlib.import_module(mixer.module.__module__).__doc__ or ""
    assert "    y" in said
    assert "\nElastic: " in said
    assert mixer.paper in said
