"""Pictures of more than 8 bits that use a small part of their range are told, and a fixed range is used."""

import json
import struct
import zlib

import cv2
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


def written_video(file, values, kind, stored, **more):
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, stored
        for name, value in more.items():
            setattr(stream.codec_context, name, value)
        for frame in values:
            picture = av.VideoFrame.from_ndarray(frame, format=kind)
            container.mux(stream.encode(picture.reformat(format=stored)))
        container.mux(stream.encode())


@pytest.mark.parametrize(("stored", "off"), [("gray16le", 0), ("gray12le", 3)])
def test_grey_video_of_more_than_8_bits(tmp_path, stored, off):
    frames = [7000 + 6 * frame[..., 0].astype(np.uint16) for frame in sliding_frames(6)]
    written_video(tmp_path / "a.mkv", frames, "gray16le", stored)
    (clip,) = open_source(tmp_path)
    assert "grey levels are left" in clip.warnings[0]
    (clip,) = open_source(tmp_path, value_range=(7000, 8530))
    assert clip.warnings == []
    assert np.allclose(clip.frame(2).image[..., 1], sliding_frames(6)[2][..., 0], atol=off)


@pytest.mark.parametrize("stored", ["gbrp16le", "yuv444p10le"])
def test_colour_video_of_more_than_8_bits(tmp_path, stored):
    frames = [7000 + 200 * frame.astype(np.uint16) for frame in sliding_frames(6)]
    written_video(tmp_path / "a.mkv", frames, "rgb48le", stored)
    (clip,) = open_source(tmp_path)
    assert clip.warnings == []
    assert np.allclose(clip.frame(2).image, (frames[2] + 128.0) // 257, atol=3)
    (clip,) = open_source(tmp_path, value_range=(7000, 58000))
    assert clip.warnings == []
    assert np.abs(clip.frame(2).image.astype(int) - sliding_frames(6)[2]).mean() < 4
    frames = [7000 + 6 * frame.astype(np.uint16) for frame in sliding_frames(6)]
    written_video(tmp_path / "a.mkv", frames, "rgb48le", stored)
    (clip,) = open_source(tmp_path)  # ten bits are all there are
    assert bool(clip.warnings) is (stored == "gbrp16le")


def test_video_for_screens_of_high_range_is_told(tmp_path):
    frames = [frame.astype(np.uint16) * 257 for frame in sliding_frames(3)]
    written_video(tmp_path / "a.mkv", frames, "rgb48le", "yuv420p10le", color_trc=16)
    assert "of high dynamic range (PQ)" in open_source(tmp_path)[0].warnings[0]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_of_16_bits_follow_the_same_rule(tmp_path, ending):
    values = np.array([[[0, 257, 129], [65535, 65278, 32768]]] * 40, np.uint16).repeat(20, axis=1)
    cv2.imwrite(str(tmp_path / f"a.{ending}"), values[..., ::-1])
    image = read_image(tmp_path / f"a.{ending}")
    assert image[0, [0, -1]].tolist() == [[0, 1, 1], [255, 254, 128]]
    (tmp_path / f"a.{ending}").write_bytes((tmp_path / f"a.{ending}").read_bytes()[:-50])
    with pytest.raises(DataError, match=r"damaged|not an image"):
        read_image(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_that_use_a_small_part_of_their_range_are_told_and_a_range_used(tmp_path, ending):
    frames = sliding_frames(3)
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{i}.{ending}"), 7000 + 6 * frame[..., ::-1].astype(np.uint16))
    (clip,) = open_source(tmp_path)
    assert "of 256 grey levels are left" in clip.warnings[0]
    (clip,) = open_source(tmp_path, value_range=(7000, 8530))
    assert clip.warnings == []
    assert np.array_equal(clip.frame(1).image, frames[1])
    (tmp_path / "range.txt").write_text("7000,8530")
    assert np.array_equal(open_source(tmp_path)[0].frame(1).image, frames[1])


def test_alpha_and_orientation_of_colours_of_16_bits(tmp_path):
    values = np.zeros((2, 3, 4), np.uint16)
    values[0, 0], values[0, 1] = (257 * 50, 257 * 100, 257 * 200, 65535), (65535, 65535, 65535, 0)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    assert read_image(tmp_path / "a.png")[0, :2].tolist() == [[200, 100, 50], [0, 0, 0]]
    data, exif = (tmp_path / "a.png").read_bytes(), Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    assert read_image(tmp_path / "a.png").shape == (3, 2, 3)
    assert read_image(tmp_path / "a.png")[0, 1].tolist() == [200, 100, 50]


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
