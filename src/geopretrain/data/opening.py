"""From what a user names and what a task needs to a data set: a store, or a set of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geopretrain.data.dataset import IMAGE_FOLDER, Fields
from geopretrain.data.labelled.detect import is_known
from geopretrain.data.labelled.image_folder import image_names
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.prepare.resolve import is_store, resolve_store
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError
from geopretrain.schema import Crop, as_path, parse_size

OF_IMAGES = {"labels", "image_labels", "boxes", "masks"}
"""Fields that only labelled images have."""
Source = str | Path | Sequence[str | Path]


def open_dataset(
    data: Source,
    fields: Fields,
    *,
    size: tuple[int, int] | None = None,
    default_size: tuple[int, int] | None = None,
    default_crop: Crop | None = None,
) -> FrameStore | LabelledSet:
    """Open a data set whose samples are to have ``fields``.

    A prepared store is opened; ``images:FOLDER``, and whatever is asked for class maps, classes, boxes or
    masks, is a set of images (for classes of images any folder or list is); anything else is prepared as a
    store in the user's cache, single frames as still images where no neighbours are needed.

    Args:
        data: what the user named, one thing or several.
        fields: what the samples are to have.
        size: (height, width) the user asks for, px; a store of another one is refused.
        default_size: (height, width) of images and raw video where ``size`` is None; None chooses, see
            `working_size`.
        default_crop: where frames of ``default_size`` are cut out of raw video, see `PreparationOptions`.

    Raises:
        DataError: nothing usable is there; the message says what was expected.
        ConfigError: a store of another size, or a size that is impossible.
    """
    inputs: list[str | Path] = [data] if isinstance(data, (str, Path)) else _several(data)
    for one in inputs:
        as_path(one, "data")
    size, default_size = parse_size(size), parse_size(default_size)
    if _are_images(inputs, fields):
        if len(inputs) > 1:
            raise DataError(
                f"Labelled images are one data set, not {len(inputs)}: {', '.join(map(str, inputs))}."
            )
        return LabelledSet.open(
            _as_images(str(inputs[0]), fields), size=size or default_size, names=fields.names
        )
    # a method that looks at single frames can learn from every frame, also where the camera is static
    more: dict[str, Any] = {"still_images": True} if fields.alone else {}
    if default_crop is not None and size is None:
        more["crop"] = default_crop
    with _photographs_told(inputs, fields):
        store = resolve_store(inputs, size=size or default_size, **more)
    if size is not None and store.size != tuple(size):
        asked, there = (f"{height}x{width}" for height, width in (size, store.size))
        raise ConfigError(
            f"The store holds frames of {there} px (height x width), not {asked}. Leave --size away, or "
            f"prepare the video again with --size {asked}."
        )
    return store


def prepared_size(data: Any) -> tuple[int, int] | None:
    """Return the (height, width) of the frames, px, if data as `open_dataset` takes them are a store."""
    inputs = _several(data)
    return resolve_store(inputs).size if len(inputs) == 1 and inputs[0] and is_store(inputs[0]) else None


@contextmanager
def _photographs_told(inputs: Sequence[str | Path], fields: Fields) -> Iterator[None]:
    """Say how a folder of photographs is given, where a method of single images cannot take it as video."""
    try:
        yield
    except DataError as error:
        folder = Path(inputs[0]).expanduser()
        if not fields.alone or fields.names or len(inputs) > 1 or not folder.is_dir():
            raise
        if next(image_names(folder), None) is None:
            raise
        raise DataError(
            f"{error} If these are photographs and no frames of video, give {IMAGE_FOLDER}{folder}."
        ) from error


def _several(data: Any) -> list[Any]:
    return list(data) if isinstance(data, (list, tuple)) else [data]


def _as_images(spec: str, fields: Fields) -> str:
    """Return what is opened; where classes of images are asked for, any folder that is nothing else."""
    return f"{IMAGE_FOLDER}{spec}" if "image_labels" in fields.names and not is_known(spec) else spec


def _are_images(inputs: Sequence[str | Path], fields: Fields) -> bool:
    if any(str(spec).startswith(IMAGE_FOLDER) for spec in inputs):
        return True
    return bool(OF_IMAGES & set(fields.names)) and not any(is_store(spec) for spec in inputs)
