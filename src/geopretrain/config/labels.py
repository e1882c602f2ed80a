"""Options that say which labelled samples are learned from."""

from __future__ import annotations

from typing import Any, Literal

from geopretrain.config.groups import DataRootOptions
from geopretrain.errors import OptionError
from geopretrain.schema import AnySize, Count, FilePath, Seed, checked, defaults

SubsetBy = Literal["chance", "sequence"]


@checked
class LabelledDataOptions(DataRootOptions):
    """Labelled data."""

    data: FilePath | None = None
    """Labelled data: a folder with images/, labels/ and classes.txt, a list of images and labels, a data set
    as released or by its name (``geopretrain data list``), what annotation tools export, or
    synthetic:street."""
    subset_seed: Seed = 0
    """Fixes which images are the labelled ones; smaller subsets lie inside larger ones."""
    size: AnySize = None
    """Height and width in px to work at, e.g. 96x128 (height first)."""


@checked
class PropagatedOptions:
    """Labels in neighbouring frames."""

    propagated: bool = True
    """Learn also from the frames that the labels were propagated to, where the data have such (``data
    propagate``); false: from the images labelled by hand alone."""


@checked
class ReleasedOptions:
    """The script that was released with a paper."""

    as_released: bool = False
    """Behave like the released script of Lao et al., defects included."""


@checked
class LabelledOptions(LabelledDataOptions):
    """Labelled data."""

    labels: Count | None = None
    """Number of labelled images to learn from; left away: all."""
    subset_by: SubsetBy | None = None
    """How these are drawn: by chance, or of each sequence of images in proportion to its length (sequence),
    as names and folders tell sequences; left away: by chance, and as_released the first ones."""
    label_list: FilePath | None = None
    """Text file with the names of the images to learn from, one a line, the most worth first, or the folder
    that ``data select`` wrote one into; with ``labels`` the first ones of it."""


def check_label_list(options: Any) -> None:
    """Refuse to draw the images of a new training that a list names (OptionError)."""
    if options.label_list is None or options.resume:
        return
    standard = defaults(type(options))
    for name in ("subset_seed", "subset_by"):
        if name in standard and getattr(options, name) != standard[name]:
            raise OptionError(name, "says how images are drawn, and label_list names them. Give one of them.")


def check_released(options: Any) -> None:
    """Refuse to say how images of a new training are drawn where the first ones are taken (OptionError)."""
    seed = options.subset_seed != defaults(type(options))["subset_seed"]
    if options.as_released and seed and options.subset_by is None and not options.resume:
        raise OptionError(
            "subset_seed",
            "says how images are drawn, and as_released takes the first ones. Add --subset-by chance.",
        )
