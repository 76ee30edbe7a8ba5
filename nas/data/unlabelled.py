"""Images without labels: every image below a folder, read as the labelled ones were."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas.data.copies import describe_taught
from nas.data.formats.folder import image_files, passed_over
from nas.data.formats.pictures import Form, decode
from nas.data.images import Dataset, Images, PixelArray
from nas.data.load import parse_spec
from nas.data.resizing import resize
from nas.errors import DataError
from nas.reading import ReadOptions


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Images whose labels are all 0 and mean nothing, and what a person should know of them."""

    images: Images
    notes: tuple[str, ...]

    @cached_property
    def id(self) -> str:
        """12 hex digits of the images' contents."""
        digest = hashlib.blake2b(digest_size=6)
        for array in self.images.arrays:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load_unlabelled(spec: str, like: Dataset, options: ReadOptions) -> Unlabelled:
    """The images of a folder.

    Args:
        spec: `folder:DIR`; folders inside it mean nothing either.
        like: Pictures that they have to resemble in size, channels and levels. The test images
            are only compared, to count copies of them.
        options: How images are read.

    Raises:
        DataError: it is no folder, holds no images, files cannot be read, or the labelled data
            are no pictures.
    """
    kind, path = parse_spec(spec)
    usable = like.train.pixels.dtype == np.uint8 and like.shape.channels in (1, 3)
    if kind != "folder" or path is None or not usable:
        raise DataError(
            f"Unlabelled images '{spec}' cannot be used with '{like.kind}' data: write "
            "folder:DIR, and use it beside pictures."
        )
    files = image_files(path) if path.is_dir() else []
    if not files:
        raise DataError(f"'{path}' holds no images. Check --unlabelled folder:{path}.")
    form = Form(max(like.native_size), like.shape.channels, like.levels)
    decoded = decode(files, options, form=form)
    pixels: PixelArray = decoded.pixels[decoded.read]
    sizes = decoded.sizes
    if pixels.shape[1:3] != like.native_size:  # beside arrays that are not square
        pixels, sizes = resize(pixels, like.native_size), None
    sizes = None if sizes is None else sizes[decoded.read]
    images = Images(pixels, np.zeros(len(pixels), dtype=np.int64), sizes)
    held_out = {"validation": like.validation, "test": like.open_test()}
    notes = (*decoded.notes, *passed_over(path, [], files), *describe_taught(images, held_out))
    return Unlabelled(images, notes)
