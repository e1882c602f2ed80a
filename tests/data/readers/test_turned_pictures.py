"""Pictures that a note of orientation (EXIF) turns, and what belongs to them: depth, labels, boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.readers import open_source
from geopretrain.data.readers.depth_maps import read_depth_png
from geopretrain.errors import DataError

STORED = {3: Image.Transpose.ROTATE_180, 2: Image.Transpose.FLIP_LEFT_RIGHT, 6: Image.Transpose.ROTATE_90}
"""What brings an upright picture to how it is stored, by the note that brings it back."""
SIZE = (96, 128)


def save(path, upright, note):
    """Save a picture as a camera does that was held so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(upright).transpose(STORED[note])
    notes = picture.getexif()
    notes[0x0112] = note
    picture.save(path, exif=notes)


def depth_folder(root, note, *, noted=False, lying=False):
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    depth = np.linspace(1000, 5000, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)
    (root / "depth").mkdir(parents=True)
    for k in range(3):
        save(root / "images" / f"{k}.png", pixels, note)
        if noted:
            save(root / "depth" / f"{k}.png", depth, note)
        else:
            stored = Image.fromarray(depth)
            (stored.transpose(STORED[note]) if lying else stored).save(root / "depth" / f"{k}.png")
    return root, depth


@pytest.mark.parametrize("note", STORED)
def test_depth_maps_with_the_same_note_are_turned_too(tmp_path, note):
    root, depth = depth_folder(tmp_path / "a", note, noted=True)
    (clip,) = open_source(root)
    assert clip.depth(1) == pytest.approx(depth / 1000)
    assert not any("EXIF" in said for said in clip.warnings)
    assert read_depth_png(root / "depth" / "0.png", 1000).shape == SIZE


@pytest.mark.parametrize("note", [2, 3])
def test_where_no_side_tells_how_depth_lies_that_is_said(tmp_path, note):
    root, depth = depth_folder(tmp_path / "a", note)
    (clip,) = open_source(root)
    assert clip.depth(0) == pytest.approx(depth / 1000)
    (said,) = [said for said in clip.warnings if "EXIF" in said]
    assert said.startswith(
        "A note of orientation (EXIF) turns 0.png, and 0.png has none: depth maps are taken"
    )


def test_depth_that_lies_on_its_side_is_refused_with_the_reason(tmp_path):
    (clip,) = open_source(depth_folder(tmp_path / "upright", 6)[0])
    assert clip.depth(0).shape == SIZE
    assert not any("EXIF" in said for said in clip.warnings), "their sides tell"
    (clip,) = open_source(depth_folder(tmp_path / "lying", 6, lying=True)[0])
    with pytest.raises(DataError, match=r"One of them lies on its side.*\(EXIF\).* Turn the depth map"):
        clip.depth(0)


@pytest.mark.parametrize("note", [3, 6])
def test_boxes(tmp_path, note):
    images, found = [], []
    for k in range(6):
        save(tmp_path / "images" / f"{k}.png", np.full((*SIZE, 3), 40 * k, np.uint8), note)
        lying = note == 6
        images.append({"id": k + 1, "file_name": f"{k}.png", "height": SIZE[lying], "width": SIZE[not lying]})
        found.append({"id": k + 1, "image_id": k + 1, "category_id": 1, "bbox": [9, 9, 30, 30], "area": 900})
    content = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "box"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    data = LabelledSet.open(str(tmp_path), size=SIZE, names=("boxes",))
    said = " ".join(data.describe().sentences)
    assert ("objects are taken to lie as the pictures are shown" in said) == (note == 3)
    if note == 6:
        with pytest.raises(DataError, match=r"are for 128x96 px .* Turn the annotations"):
            data.read(data.splits()["train"], Fields(names=("boxes",)))


def test_class_maps(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    (tmp_path / "labels").mkdir()
    for k in range(4):
        save(tmp_path / "images" / f"{k}.png", pixels, 3)
        Image.fromarray(pixels[..., 0] % 2).save(tmp_path / "labels" / f"{k}.png")
    (tmp_path / "classes.txt").write_text("road\nsky\n")
    said = " ".join(LabelledSet.open(tmp_path, SIZE).describe().sentences)
    assert "labels are taken to lie as the pictures are shown" in said
