from __future__ import annotations

import inspect

import pytest

from nas import errors
from nas.errors import NasError, missing_extra, unknown_name


def test_an_unknown_name_suggests_the_nearest_and_lists_the_known() -> None:
    error = unknown_name("hardware", "A10", ["h100", "a100", "cpu"], "Measure it.")
    assert str(error) == (
        "Unknown hardware 'A10'. Did you mean 'a100'? Known: a100, cpu, h100. Measure it."
    )


def test_a_name_that_is_near_nothing_gets_no_suggestion() -> None:
    assert str(unknown_name("space", "zzz", ["macro"])) == "Unknown space 'zzz'. Known: macro."
    assert str(unknown_name("space", "zzz", [])) == (
        "Unknown space 'zzz'. There is no space to choose from."
    )


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    message = str(missing_extra("ray", "ray", "Training on several machines"))
    assert message.startswith("Training on several machines needs 'ray', which is not installed.")
    assert "-e '.[ray]'" in message


def test_every_error_is_also_a_builtin_one() -> None:
    own = [
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, NasError) and error is not NasError
    ]
    assert len(own) == 17
    for error in own:
        assert any(base.__module__ == "builtins" for base in error.__mro__[1:-3]), error


def test_only_what_is_not_the_persons_fault_exits_with_one() -> None:
    assert errors.StorageError.exit_code == 1
    assert errors.DataError.exit_code == 2


@pytest.mark.parametrize("error", [errors.MissingExtraError, errors.StorageError])
def test_an_error_prints_its_message(error: type[NasError]) -> None:
    assert str(error("what to do")) == "what to do"
