"""The table of data sets, ``sets.yaml``: what each needs, what it gives, and where users get it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from geopretrain.errors import ConfigError, DataError, nearest_name
from geopretrain.records import Length, Text, as_type, read_yaml

TABLE = Path(__file__).with_name("sets.yaml")
ADVICE = "Install geopretrain again."


@dataclass(frozen=True)
class Part:
    """A folder or file of a data set.

    Attributes:
        any_of: patterns below the data set; something must fit one of them.
        words: what it is, and the archive it comes in.
        needed: whether the data set is not whole without it.
    """

    any_of: list[Text]
    words: Text
    needed: bool = True


@dataclass(frozen=True)
class DataSet:
    """A data set as it is released.

    Attributes:
        title: of the data set.
        kind: ``labelled`` images, ``frames`` (with depth, right images or poses where it has them), or pairs
            of frames with known ``flow``.
        gives: what is learned or measured from it, in words.
        parts: what it consists of; the first is what tells it from others.
        folders: names that its folder usually has, the first of them preferred.
        page: project page.
        terms: licence, in words.
        fields: what labelled images are opened for, see ``geopretrain.data.dataset.NAMES``.
        count: images (of frames: sequences) that all of it has, as far as they can be read; None where that
            is open.
        counted: how many there are, in words.
        size: (height, width) of its pictures, px; None where they differ.
        options: what may stand behind its name, in words.
        prefix: what stands before its path, as ``images:``.
        inside: folder in it that is opened where it is there, because others hold other data.
        clips: kinds of clips that its frames are read as, see `SourceClip`.
    """

    title: Text
    kind: Literal["labelled", "frames", "flow"]
    gives: Text
    parts: list[Part]
    folders: list[Text]
    page: Text
    terms: Text
    fields: list[Text] = field(default_factory=list)
    count: Length | None = None
    counted: Text = ""
    size: tuple[Length, Length] | None = None
    options: Text = ""
    prefix: Text = ""
    inside: Text = ""
    clips: list[Text] = field(default_factory=list)


@cache
def data_sets() -> dict[str, DataSet]:
    """Return the data sets by their names."""
    content = read_yaml(TABLE, error=DataError, advice=ADVICE)
    found: dict[str, DataSet] = as_type(dict[str, DataSet], content, TABLE, error=DataError, advice=ADVICE)
    return found


def data_set(name: str) -> DataSet:
    """Return a data set by its name (ConfigError, which names the nearest)."""
    known = data_sets()
    if name not in known:
        raise ConfigError(
            f"There is no data set '{name}'.{nearest_name(name, known)} `geopretrain data list` shows all."
        )
    return known[name]
