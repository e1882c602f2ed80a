"""What transfers with labelled images share: opening them, which are learned from, when to score."""

from __future__ import annotations

from collections.abc import Sequence

from geopretrain.config.options import FinetuneDetectionOptions, FinetuneSegmentationOptions
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import nested_subset
from geopretrain.errors import DataError, OptionError
from geopretrain.training.resolve import data_of_resumed_run

Options = FinetuneSegmentationOptions | FinetuneDetectionOptions


def refuse_choosing_by_test(options: Options) -> None:
    """Raise OptionError where weights would be chosen by the images that are scored."""
    if options.monitor and options.evaluate_on == "test":
        raise OptionError(
            "monitor",
            "would choose weights by the images that are scored. Choose on others: --evaluate-on val.",
        )


def open_labelled(
    options: Options, names: Sequence[str] = LABELS.names, size: tuple[int, int] | None = None
) -> LabelledSet:
    """Return the images of a transfer, opened for some fields, at the size of the options or else ``size``.

    Raises:
        DataError: there are none, or none to learn from or to score.
    """
    with data_of_resumed_run(options.data, bool(options.resume)):
        labelled = LabelledSet.open(str(options.data), size=options.size or size, names=names)
    for needed in ("train", options.evaluate_on):
        if not labelled.counts.get(needed):
            raise DataError(
                f"'{options.data}' has no images in its {needed} split ({labelled.describe().in_words()}). "
                "Add some, or choose the split that is scored with --evaluate-on."
            )
    return labelled


def labelled_subset(images: int, options: Options) -> list[int]:
    """Return which of the training images are learned from, by their positions in the split."""
    return nested_subset(images, images if options.labels is None else options.labels, options.subset_seed)


def curve(points: int | Sequence[int], steps: int) -> list[int]:
    """Return the steps after which to evaluate; the last one always is among them.

    ``6`` of 300 steps means 9, 18, 37, 75, 150, 300; several numbers are taken as given.

    Raises:
        ConfigError: not numbers between 1 and ``steps``.
    """
    if isinstance(points, int):
        return sorted({max(1, steps >> halvings) for halvings in range(min(points, 64))})
    if points and not (min(points) >= 1 and max(points) <= steps):
        raise OptionError("curve_points", f"must lie between 1 and {steps} steps, not {sorted(points)}.")
    return sorted({*points, steps})
