"""Pictures of more than 8 bits that use a small part of their range are told, and a fixed range is used."""

import json

import numpy as np
import pytest
from making_clips import sliding_frames, write_images
from PIL import Image

from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.inspection import inspect
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.data.readers.images import read_image
from geopretrain.errors import DataError, OptionError
from geopretrain.prediction.inputs import shots


def thermal(folder, count=9, dtype=np.uint16, ending="png"):
    """Pictures whose values lie between 7000 and 8530, which are 7 grey levels of 256."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(sliding_frames(count)):
        values = 7000 + 6 * frame[..., 0].astype(dtype)
        Image.fromarray(values.astype(dtype)).save(folder / f"{i:03d}.{ending}")
    return folder


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_small_part_of_the_range_is_told_and_a_range_used(tmp_path, ending):
    folder = thermal(tmp_path / "in", ending=ending)
    (clip,) = open_source(folder)
    assert len(np.unique(clip.frame(0).image)) <= 7
    (warning,) = clip.warnings
    assert "of 256 grey levels are left" in warning
    assert "--range 70" in warning
    assert warning in inspect(folder).text()
    (ranged,) = open_source(folder, value_range=(7000, 8530))
    assert ranged.warnings == []
    assert np.array_equal(ranged.frame(3).image[..., 0], sliding_frames(9)[3][..., 0])
    store = prepare(folder, tmp_path / "store", progress=False, range="7000,8530")
    assert store.index.request["options"]["range"] == [7000, 8530]
    assert store.frame_image(0, 4).std() > 20
    plain = prepare(folder, tmp_path / "plain", progress=False, min_motion=0)
    assert any("grey levels" in warning for warning in plain.warnings)
    assert "range" not in plain.index.request["options"]  # as in stores of earlier versions


def test_predict_uses_the_range_and_says_when_it_is_needed(tmp_path, caplog):
    folder = thermal(tmp_path / "in", 3)
    seen = next(shots(folder, None, with_next=False, value_range=(7000, 8530)))
    assert np.array_equal(seen.image[..., 0], sliding_frames(3)[0][..., 0])
    assert caplog.text == ""
    assert len(np.unique(next(shots(folder, None, with_next=False)).image)) <= 7
    assert caplog.text.count("--range") == 1


def test_a_range_beside_the_pictures_serves_every_reader(tmp_path):
    thermal(tmp_path / "images" / "train", 10)
    for split in ("images", "labels"):
        (tmp_path / split).mkdir(exist_ok=True)
    (tmp_path / "labels" / "train").mkdir()
    for i in range(10):
        label = np.repeat(np.arange(96)[:, None] // 48, 128, axis=1).astype(np.uint8)
        Image.fromarray(label).save(tmp_path / "labels" / "train" / f"{i:03d}.png")
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    (tmp_path / "labels" / "test").symlink_to(tmp_path / "labels" / "train")
    (tmp_path / "images" / "test").mkdir()
    source = open_labelled_source(f"images:{tmp_path / 'images' / 'train'}")
    assert any("--range" in warning for warning in source.warnings)
    before = json.dumps(source.unread()), source.fingerprint()
    (tmp_path / "range.txt").write_text("7000\n8530\n")
    source = open_labelled_source(f"images:{tmp_path / 'images' / 'train'}")
    assert not any("--range" in warning for warning in source.warnings)
    image = source.read("train", 0, (96, 128)).image
    assert np.array_equal(image[..., 0], sliding_frames(10)[int(source.name("train", 0)[:3])][..., 0])
    assert json.dumps(source.unread()) != before[0]  # cached rows are made anew
    assert source.fingerprint() != before[1]
    (tmp_path / "range.txt").write_text("high low")
    with pytest.raises(DataError, match=r"range\.txt must hold two numbers LOW,HIGH"):
        read_image(tmp_path / "images" / "train" / "000.png")


def test_floating_point_pictures_need_a_range(tmp_path):
    file = thermal(tmp_path, 1, np.float32, "tif") / "000.tif"
    with pytest.raises(DataError, match=r"no fixed range. Give a fixed range with --range LOW,HIGH"):
        read_image(file)
    assert np.array_equal(read_image(file, (7000, 8530))[..., 0], sliding_frames(1)[0][..., 0])
    values = np.full((64, 64), 200_000, np.int32)
    values[0] = -5
    Image.fromarray(values).save(tmp_path / "wide.tif")
    with pytest.raises(DataError, match=r"outside 0\.\.65535. Give a fixed range"):
        read_image(tmp_path / "wide.tif")
    assert set(np.unique(read_image(tmp_path / "wide.tif", (0, 400_000)))) == {0, 128}


def test_grey_video_of_16_bits(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "gray16le"
        for frame in sliding_frames(6):
            values = 7000 + 6 * frame[..., 0].astype(np.uint16)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="gray16le")))
        container.mux(stream.encode())
    (clip,) = open_source(tmp_path)
    assert "grey levels are left" in clip.warnings[0]
    (clip,) = open_source(tmp_path, value_range=(7000, 8530))
    assert clip.warnings == []
    assert np.array_equal(clip.frame(2).image[..., 1], sliding_frames(6)[2][..., 0])


def test_a_range_where_none_is_needed_is_said(tmp_path):
    write_images(tmp_path, sliding_frames(3))
    (clip,) = open_source(tmp_path, value_range=(0, 100))
    assert clip.warnings == ["--range changes nothing here: it is for pictures of more than 8 bits."]


def test_a_full_range_is_quiet(tmp_path):
    for i, frame in enumerate(sliding_frames(3)):
        Image.fromarray(frame[..., 0].astype(np.uint16) * 257).save(tmp_path / f"{i}.png")
    (clip,) = open_source(tmp_path)
    assert clip.warnings == []


@pytest.mark.parametrize("value", ["9000,7000", "5", "a,b", "1,2,3", "nan,4", (3, 3), True, []])
def test_impossible_ranges_are_refused(value):
    with pytest.raises(OptionError, match="range must be two numbers LOW,HIGH"):
        PreparationOptions(range=value)
