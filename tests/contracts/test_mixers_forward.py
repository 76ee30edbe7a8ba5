"""What every mixer family and every channel mixer promises, with all of its options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from search_spaces.family import CHANNEL_MIXERS, MIXERS, Family, Options

WIDTHS = (20, 32, 48)
FAMILIES = {
    f"{role}-{family.name}": family
    for role, registry in (("mixer", MIXERS), ("channel_mixer", CHANNEL_MIXERS))
    for family in registry
}
MANY = 24
"""With more options than this, a test runs a share of them."""

every_family = pytest.mark.parametrize("name", sorted(FAMILIES))
every_width = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Maps this small are faster on one thread, on a busy machine by far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def some_options(family: Family) -> list[Options]:
    """All options of a family; of a large one every seventh, which still shows each value."""
    options = list(family.every_options())
    return options[::7] if len(options) > MANY else options


def modules(
    family: Family, width: int, every: bool = False
) -> Iterator[tuple[Options, nn.Module]]:
    """The family's module with its options and random weights, in eval mode."""
    torch.manual_seed(7 * width)
    for options in family.every_options() if every else some_options(family):
        module = family.module(width, options)
        for tensor in module.parameters():
            # Biases are positive, or a squeeze of four channels may fall silent at a relu.
            nn.init.normal_(tensor, mean=0.5 if tensor.ndim == 1 else 0.0, std=0.2)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0)
            elif name.endswith("running_mean"):
                nn.init.normal_(buffer)
        yield options, module.eval()


def images(batch: int, width: int, *size: int) -> Tensor:
    x = torch.randn(batch, width, *size, generator=torch.Generator().manual_seed(batch))
    return x.contiguous(memory_format=torch.channels_last)


def test_some_options_of_a_large_family_show_each_value_of_each_option() -> None:
    for family in FAMILIES.values():
        for key, values in family.choices().items():
            assert {getattr(options, key) for options in some_options(family)} == set(values)


@every_family
def test_every_family_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    family = FAMILIES[name]
    assert family.summary.endswith(".")
    assert family.paper.startswith("https://")


@every_width
@every_family
def test_a_map_of_any_size_keeps_its_shape_and_its_memory_format(name: str, width: int) -> None:
    shapes = ((3, 5, 5), (1, 8, 8), (3, 7, 6), (1, 1, 1), (3, 2, 2))
    every = list(modules(FAMILIES[name], width, every=True))
    shown = 2 if len(every) > MANY else len(shapes)  # many options share the shapes out
    for i, (options, module) in enumerate(every):
        for j in range(i, i + shown):
            batch, *size = shapes[j % len(shapes)]
            x = images(batch, width, *size)
            with torch.inference_mode():
                y = module(x)
            assert y.shape == x.shape, (options, size)
            assert y.isfinite().all(), (options, size)
            assert y.stride(1) == 1, f"{options} at {size}: channels are not the innermost"


@every_width
@every_family
def test_the_gradient_reaches_every_parameter(name: str, width: int) -> None:
    x = images(2, width, 9, 9)  # spatial reduction by 8 leaves 2 x 2 keys
    for options, module in modules(FAMILIES[name], width):
        y = module(x)
        parameters = dict(module.named_parameters())
        if FAMILIES[name].group == "attention":
            parameters.pop("k.bias", None)  # it moves all of a softmax's scores alike
        if parameters:
            weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
            gradients = torch.autograd.grad((y * weights).sum(), list(parameters.values()))
            for key, gradient in zip(parameters, gradients, strict=True):
                assert gradient.abs().max() > 1e-9, (options, key)


@every_width
@every_family
def test_a_sample_does_not_depend_on_the_others_of_its_batch(name: str, width: int) -> None:
    x = images(3, width, 6, 6)
    other = torch.cat([x[:1], -2 * x[1:]]).contiguous(memory_format=torch.channels_last)
    for options, module in modules(FAMILIES[name], width):
        with torch.inference_mode():
            first, again, alone = module(x)[:1], module(other)[:1], module(x[:1])
        assert torch.equal(first, again), options
        torch.testing.assert_close(first, alone, rtol=1e-4, atol=1e-4)


@every_family
def test_equal_seeds_build_equal_modules_that_give_equal_outputs(name: str) -> None:
    x = images(2, 20, 6, 6)
    for options in some_options(FAMILIES[name]):
        outputs = []
        for _ in range(2):
            torch.manual_seed(3)
            outputs.append(FAMILIES[name].module(20, options)(x))
        assert torch.equal(*outputs), options


@every_family
def test_double_precision_agrees_with_single(name: str) -> None:
    x = images(2, 20, 6, 6)
    for options, module in modules(FAMILIES[name], 20):
        with torch.inference_mode():
            single, double = module(x), module.double()(x.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3, msg=f"{options}")


@every_family
def test_half_precision_agrees_with_single(name: str) -> None:
    x = images(4, 48, 7, 9)
    for options, module in modules(FAMILIES[name], 48):
        with torch.inference_mode():
            single, half = module(x), module.half()(x.half())
        assert half.dtype == torch.float16
        errors = (half.float() - single).square().mean(1).sqrt() / single.square().mean().sqrt()
        # A tenth of the positions may differ: those that choose what they look at.
        assert errors.quantile(0.9) < 4e-3, options


@every_family
def test_a_module_traced_on_fake_tensors_still_runs_on_real_ones(name: str) -> None:
    for options, module in modules(FAMILIES[name], 32):
        with FakeTensorMode(allow_non_fake_inputs=True):
            module(torch.randn(1, 32, 8, 8))
        assert type(module(torch.randn(1, 32, 8, 8))) is Tensor, options


@every_family
def test_a_module_runs_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        for options in some_options(FAMILIES[name]):
            module, x = FAMILIES[name].module(20, options), torch.empty(2, 20, 9, 9)
            assert module(x).shape == x.shape, options


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("name", [family.name for family in MIXERS if family.strided])
def test_a_strided_family_rounds_the_size_of_its_map_up(name: str, stride: int) -> None:
    torch.manual_seed(0)
    for options in some_options(MIXERS[name]):
        module = MIXERS[name].module(20, options, 32, stride).eval()
        for side in (1, 5, 8):
            rounded_up = -(-side // stride)
            shape = module(images(1, 20, side, side)).shape
            assert shape == (1, 32, rounded_up, rounded_up), options
