"""KITTI semantics: ``training/image_2``, ``training/semantic`` with the ids of Cityscapes, 200 pictures."""

from __future__ import annotations

from geopretrain.data.labelled.pairing import paired
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.street_classes import drawn_classes
from geopretrain.data.readers.kitti_stereo import training_folder
from geopretrain.data.spec import place_of, whole_number
from geopretrain.errors import DataError

LABELS = ("semantic", "semantic_rgb")


def open_semantics(spec: str) -> LabelledPairs:
    """Read the 200 labelled pictures of KITTI semantics.

    The data set has no split of its own. ``PATH?train=16`` makes the one of Lao et al.: the first pictures
    are train, all others test (and val, for the method has none).

    Raises:
        DataError: a picture has no label.
        ConfigError: ``train`` is no number of pictures that leaves some for testing.
    """
    root, first = place_of(spec), whole_number(spec, "train")
    folder = training_folder(root, LABELS)
    if folder is None:
        raise DataError(f"{root} holds no training/image_2 with training/semantic beside it.")
    labels = next(folder / name for name in LABELS if (folder / name).is_dir())
    pairs = paired(folder / "image_2", labels)
    splits, said = _first_ones(pairs, first, spec) if first else with_all_splits({"all": pairs}, root)
    if labels.name == LABELS[1]:
        said += ("labels are colours (semantic_rgb), looked up in the colours of Cityscapes",)
    return LabelledPairs(root, "KITTI semantics", drawn_classes(), splits, said)


def _first_ones(pairs: list[Pair], count: int, spec: str) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
    if count >= len(pairs):
        raise DataError(f"'{spec}': of {len(pairs)} pictures, {count} for training leave none for testing.")
    rest = pairs[count:]
    said = f"the first {count} are train and all others test, as Lao et al. did"
    return {"train": pairs[:count], "val": rest, "test": rest}, (said,)
