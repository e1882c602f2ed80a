from __future__ import annotations

import pytest

from geopretrain.analysis.images import open_images, spread_images
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.synthetic import names_split


@pytest.mark.parametrize(
    ("spec", "labelled"),
    [
        ("synthetic:street?train=4&val=2&test=2", True),
        ("synthetic:rooms?seed=3&test=2", True),
        ("synthetic:street", False),
        ("synthetic:street?frames=8&worlds=1", False),
        ("folder?test=2", False),
    ],
)
def test_worlds_are_labelled_images_where_a_split_is_counted(spec, labelled):
    assert names_split(spec) == labelled


def test_a_split_of_worlds_can_be_looked_at():
    data = open_images("synthetic:street?train=2&val=2&test=3&seed=4", (64, 96))
    assert isinstance(data, LabelledSet)
    assert len(spread_images(data, "test", 8)) == 3
