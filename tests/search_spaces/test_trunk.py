"""Stems, downsamplings and heads: shapes for any size, and formulas in plain PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.architecture import Choice
from search_spaces.family import DOWNSAMPLINGS, HEADS, STEMS, Family
from search_spaces.layers import NORMS
from search_spaces.parts import Part
from search_spaces.progressive_norm import ProgressiveBatchNorm, set_layer_share
from search_spaces.registry import Registry

# isort: split
from timm.models.repvit import RepVitClassifier

WIDTHS = (20, 32, 48)
every_norm = pytest.mark.parametrize("norm", NORMS)
every_stem = pytest.mark.parametrize("kind", STEMS.names())
every_downsampling = pytest.mark.parametrize("kind", DOWNSAMPLINGS.names())
every_head = pytest.mark.parametrize("kind", HEADS.names())


def choices(registry: Registry[Family], kind: str) -> list[Choice]:
    return [Choice(kind, options) for options in registry[kind].every_options()]


def run(part: Part, batch: int = 2) -> Tensor:
    """Run a part on random maps, and check what holds for every part."""
    module = part.build().eval()
    set_layer_share(module, 0.5)  # or its layer norms would not be used
    x = torch.randn(part.input_shape(batch)).contiguous(memory_format=torch.channels_last)
    y = module(x)
    assert y.isfinite().all(), part
    parameters = list(module.parameters())
    weights = torch.randn(y.shape)
    for gradient in torch.autograd.grad((y * weights).sum(), parameters):
        assert gradient.abs().max() > 0, part
    torch.testing.assert_close(module.double()(x.double()).float(), y, rtol=1e-3, atol=1e-3)
    return y


@every_norm
@every_stem
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (5, 9)])
def test_a_stem_turns_any_image_into_a_map_of_its_width(
    kind: str, norm: str, width: int, channels: int, side: int
) -> None:
    for choice in choices(STEMS, kind):
        part = Part("stem", choice, channels, width, side, choice.options.stride, norm)
        y = run(part)
        assert y.shape == (2, width, part.out_size, part.out_size), choice
        assert y.stride(1) == 1


@every_norm
@every_downsampling
@pytest.mark.parametrize(("width", "wider"), [(20, 32), (48, 20)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_downsampling_rounds_the_size_of_its_map_up(
    kind: str, norm: str, width: int, wider: int, stride: int
) -> None:
    for side in (1, 5, 8):
        for choice in choices(DOWNSAMPLINGS, kind):
            part = Part("downsampling", choice, width, wider, side, stride, norm)
            y = run(part)
            assert y.shape == (2, wider, part.out_size, part.out_size), side
            assert y.stride(1) == 1


@every_norm
@every_head
@pytest.mark.parametrize("width", WIDTHS)
def test_a_head_gives_one_score_for_each_class(kind: str, norm: str, width: int) -> None:
    for side in (1, 5):
        for choice in choices(HEADS, kind):
            part = Part("head", choice, width, 7, side, 1, norm)
            assert run(part, batch=3).shape == (3, 7)


def statistics(module: nn.Module) -> None:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            (nn.init.uniform_ if name.endswith("var") else nn.init.normal_)(tensor)
    module.eval()


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    """A norm of a map by its formula."""
    if isinstance(norm, ProgressiveBatchNorm):
        return normed(x, norm.batch) + norm.straight * x
    if isinstance(norm, nn.BatchNorm2d):
        mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    else:
        over = (1, 2, 3) if isinstance(norm, nn.GroupNorm) else 1
        mean, variance = x.mean(over, keepdim=True), x.var(over, keepdim=True, unbiased=False)
    y = (x - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None, None]
    return y if norm.bias is None else y + norm.bias[:, None, None]


def built(registry: Registry[Family], role: str, kind: str, norm: str, stride: int) -> nn.Module:
    options = registry[kind].options()
    module = Part(role, Choice(kind, options), 20, 32, 8, stride, norm).build().body
    statistics(module)
    return module


def matrix(layer: nn.Linear, x: Tensor) -> Tensor:
    y = torch.einsum("oc,bchw->bohw", layer.weight, x)
    return y if layer.bias is None else y + layer.bias[:, None, None]


@every_norm
@every_downsampling
def test_a_downsampling_equals_its_formula(kind: str, norm: str) -> None:
    module = built(DOWNSAMPLINGS, "downsampling", kind, norm, 2)
    x = torch.randn(2, 20, 8, 6)
    if kind == "merge":
        quarters = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = torch.stack(quarters, 2).flatten(1, 2)  # the four positions of a channel together
    y = x if kind == "unnormed" else normed(x, module.norm)
    expected = torch.zeros(2, 32, 4, 3)
    if kind in ("conv", "residual", "padded_residual", "overlap", "unnormed"):
        expected += F.conv2d(y, module.conv.weight, module.conv.bias, 2, 1)
    if kind == "patch":
        expected += F.conv2d(y, module.conv.weight, module.conv.bias, 2)
    if kind == "merge":
        expected += matrix(module.project, y)
        x = F.pixel_shuffle(x, 2)
    if kind == "overlap":
        expected = normed(expected, module.last_norm)
    if kind in ("pool", "residual", "padded_residual"):
        mapped = y if kind == "pool" else x
        mean = sum(mapped[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
        if kind == "padded_residual":
            expected[:, :20] += mean
        else:
            expected += matrix(module.project, mean)
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-4)


def test_a_distilled_head_equals_repvits_and_the_plain_one_that_it_is_deployed_as() -> None:
    own = built(HEADS, "head", "distilled", "batch", 1).double()
    theirs = RepVitClassifier(20, 32, distillation=True).double().eval()
    names = {"norm": "head.bn", "classifier": "head.l"}
    names |= {"second_norm": "head_dist.bn", "second": "head_dist.l"}
    for ours, name in names.items():
        theirs.get_submodule(name).load_state_dict(own.get_submodule(ours).state_dict())
    x = torch.randn(2, 20, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x.mean((2, 3))))
    plain = own.settled()
    assert type(plain) is HEADS["plain"].module
    torch.testing.assert_close(plain(x), own(x))
    weights = plain.classifier.weight, plain.classifier.bias
    torch.testing.assert_close(plain(x), F.linear(x.mean((2, 3)), *weights))


@every_norm
def test_heads_equal_their_formulas(norm: str) -> None:
    x = torch.randn(2, 20, 3, 5)
    linear = built(HEADS, "head", "linear", norm, 1)
    expected = normed(x, linear.norm).mean((2, 3)) @ linear.classifier.weight.T
    torch.testing.assert_close(linear(x), expected + linear.classifier.bias, rtol=1e-4, atol=1e-4)
    pooled = built(HEADS, "head", "pooled", norm, 1)
    y = F.layer_norm(x.mean((2, 3)), (20,), pooled.norm.weight, pooled.norm.bias, 1e-6)
    expected = y @ pooled.classifier.weight.T + pooled.classifier.bias
    torch.testing.assert_close(pooled(x), expected, rtol=1e-4, atol=1e-4)
    hidden = built(HEADS, "head", "mlp", norm, 1)
    y = F.gelu(x.mean((2, 3)) @ hidden.hidden.weight.T + hidden.hidden.bias)
    y = F.layer_norm(y, (60,), hidden.hidden_norm.weight, hidden.hidden_norm.bias, 1e-6)
    expected = y @ hidden.classifier.weight.T + hidden.classifier.bias
    torch.testing.assert_close(hidden(x), expected, rtol=1e-4, atol=1e-3)
    wide = built(HEADS, "head", "conv", norm, 1)
    y = normed(F.conv2d(x, wide.conv.weight, wide.conv.bias), wide.norm).relu().mean((2, 3))
    expected = y @ wide.classifier.weight.T + wide.classifier.bias
    torch.testing.assert_close(wide(x), expected, rtol=1e-4, atol=1e-3)


def test_patches_beyond_the_image_are_zero() -> None:
    choice = Choice("patchify", STEMS["patchify"].options(stride=4))
    module = Part("stem", choice, 3, 20, 10, 4, "layer").build()
    x = torch.randn(2, 3, 10, 10)
    torch.testing.assert_close(module(x), module(F.pad(x, (0, 2, 0, 2))))


def test_a_large_stride_stem_doubles_its_width_each_time_it_halves_the_side() -> None:
    choice = Choice("large_stride", STEMS["large_stride"].options(stride=16))
    module = Part("stem", choice, 3, 48, 64, 16, "batch").build()
    assert [conv.weight.shape[:2] for conv in module.body.convs] == [
        (6, 3),
        (12, 6),
        (24, 12),
        (48, 24),
    ]


def stem_of(kind: str, width: int = 20, **options: int) -> nn.Module:
    choice = Choice(kind, STEMS[kind].options(**options))
    module = Part("stem", choice, 3, width, 32, choice.options.stride, "layer").build().body
    statistics(module)
    return module.double()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (21, 10)])
@pytest.mark.parametrize("side", [2, 4])
def test_shifted_patches_equal_their_formula(side: int, height: int, width: int) -> None:
    stem = stem_of("shifted_patch", stride=side)
    x = torch.randn(2, 3, height, width).double()
    y, half = stem(x), side // 2
    rows, columns = -(-height // side), -(-width // side)
    assert y.shape == (2, 20, rows, columns)
    # One pixel beyond each half patch around an image padded to whole patches.
    whole = torch.zeros(2, 3, rows * side + 2 * half, columns * side + 2 * half).double()
    whole[:, :, half : half + height, half : half + width] = x
    for i in range(rows):
        for j in range(columns):
            top, left = i * side, j * side
            copies = [(half, half), (side, side), (side, 0), (0, side), (0, 0)]
            seen = [
                whole[:, :, top + a : top + a + side, left + b : left + b + side]
                for a, b in copies
            ]
            vector = torch.cat(seen, 1).flatten(1)
            vector = F.layer_norm(vector, vector.shape[1:], stem.norm.weight, stem.norm.bias, 1e-6)
            expected = vector @ stem.project.weight.T + stem.project.bias
            torch.testing.assert_close(y[:, :, i, j], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("stride", "splits"), [(16, ((7, 4, 2), (3, 2, 1), (3, 2, 1))), (4, ((3, 2, 1), (3, 2, 1)))]
)
def test_tokens_to_token_equals_its_formula(
    stride: int, splits: tuple[tuple[int, int, int], ...]
) -> None:
    stem = stem_of("tokens_to_token", stride=stride)
    x = torch.randn(2, 3, 32, 48).double()
    t = x
    for step, (side, by, border) in zip([*stem.steps, None], splits, strict=True):
        size = t.shape[2] // by, t.shape[3] // by
        joined = F.unfold(t, side, stride=by, padding=border).transpose(1, 2)  # (B, N, C k k)
        if step is None:
            break
        joined = F.layer_norm(joined, joined.shape[2:], step.norm.weight, step.norm.bias, 1e-6)
        q, k, v = (joined @ m.weight.T + m.bias for m in (step.q, step.k, step.v))
        attended = (q @ k.transpose(1, 2) / 8).softmax(2) @ v
        t = v + attended @ step.attended.weight.T + step.attended.bias
        y = F.layer_norm(t, (64,), step.mlp_norm.weight, step.mlp_norm.bias, 1e-6)
        y = F.gelu(y @ step.expand.weight.T + step.expand.bias)
        t = t + y @ step.project.weight.T + step.project.bias
        t = t.transpose(1, 2).reshape(2, 64, *size)
    y = joined @ stem.project.weight.T + stem.project.bias
    y = F.layer_norm(y, (20,), stem.norm.weight, stem.norm.bias, 1e-6)
    expected = y.transpose(1, 2).reshape(2, 20, *size)
    torch.testing.assert_close(stem(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("stride", "strides"), [(2, [1]), (4, [1, 1]), (16, [2, 2])])
def test_a_conv_tokeniser_equals_its_formula(stride: int, strides: list[int]) -> None:
    stem = stem_of("conv_tokeniser", stride=stride, kernel=7)
    x = y = torch.randn(2, 3, 32, 20).double()
    for conv, step in zip(stem.convs, strides, strict=True):
        y = F.conv2d(y, conv.weight, stride=step, padding=3).clamp(min=0)
        padded = F.pad(y, (1, 1, 1, 1), value=-torch.inf)
        y = padded.unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))
    torch.testing.assert_close(stem(x), y, rtol=1e-9, atol=1e-9)
