from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import geopretrain
import geopretrain.data.readers
from geopretrain import ConfigError, cli
from geopretrain.errors import RunFolderError
from geopretrain.prediction.inputs import Shot
from geopretrain.prediction.outputs import camera_doubt, camera_of, cloud_points, depth_values, ply

SMALL = {"backbone": "test_resnet", "steps": 1, "batch_size": 2, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("predict")
    store = geopretrain.prepare("synthetic:street?frames=12", path / "street", size=(64, 96), progress=False)
    return geopretrain.pretrain(data=store.path, out=path / "run", progress=False, **SMALL)


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (70, 110, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


class Depths(torch.nn.Module):
    """What is said of the depth of a task."""

    def __init__(self, meaning, max_depth=100.0):
        super().__init__()
        self.depth_meaning = meaning
        self.max_depth = max_depth


def test_depth_and_points_of_a_picture(run, image, tmp_path):
    save = ["picture", "depth", "cloud"]
    written = geopretrain.predict(run, image, tmp_path / "out", save=save, fov=60, progress=False)
    assert [path.name for path in written] == ["noise.png", "noise_depth.png", "noise.ply"]
    note = json.loads((tmp_path / "out" / "noise_depth.json").read_text())
    assert (note["quantity"], note["unit"], note["meaning"]) == ("depth", "unknown", "scale")
    values = np.asarray(Image.open(tmp_path / "out" / "noise_depth.png"))
    assert values.shape == (70, 110)
    assert values.dtype == np.uint16
    header, _, body = (tmp_path / "out" / "noise.ply").read_bytes().partition(b"end_header\n")
    assert b"element vertex 7700" in header  # depth of an untrained network is about the same everywhere
    assert len(body) == 7700 * 15


def test_16_bit_depth_by_hand():
    disparity = np.array([[1 / 2, 1 / 100, 0.0, 1 / 400]], np.float32)
    values, note = depth_values(disparity, Depths("metric"))
    assert values.tolist() == [[512, 25600, 0, 65535]]  # KITTI's 1/256 m; 0 = none; too far is cut off
    assert (note["unit"], note["values_per_unit"]) == ("metre", 256)
    values, note = depth_values(disparity, Depths("scale"))
    assert values[0, :2].tolist() == [2 * 655, 65500]
    values, note = depth_values(np.array([[-1.0, 0.0, 1.0]]), Depths("scale_shift"))
    assert values.tolist() == [[1, 32768, 65535]]
    assert (note["quantity"], note["offset"]) == ("disparity", -1)


def test_points_by_hand():
    K = np.array([[2.0, 0, 1], [0, 2.0, 0], [0, 0, 1]])
    disparity = np.array([[1 / 2, 1 / 4, 1 / 400]])  # the last one is sky
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    points, colours = cloud_points(disparity, image, K)
    np.testing.assert_allclose(points, [[-1, 0, 2], [0, 0, 4]])
    assert colours.tolist() == [[0, 1, 2], [3, 4, 5]]
    body = ply(points, colours, "metres").partition(b"end_header\n")[2]
    first = np.frombuffer(body[:12], "<f4")
    assert first.tolist() == [-1, 0, 2]
    assert list(body[12:15]) == [0, 1, 2]


def test_points_need_a_camera():
    shot = Shot("x", np.zeros((70, 110, 3), np.uint8))
    with pytest.raises(ConfigError, match="--fov DEGREES"):
        camera_of(shot, None, None)
    assert camera_of(shot, None, 90.0)[0, 0] == pytest.approx(55)
    assert camera_of(shot, "100,101,50,40", 90.0)[1, 1] == 101
    camera = np.array([[80.0, 0, 54.5], [0, 80, 34.5], [0, 0, 1]])
    known = Shot("x", shot.image, intrinsics=camera)
    assert camera_of(known, None, None)[0, 0] == 80
    assert camera_doubt(known, None, None) is None


@pytest.mark.parametrize(
    ("focal", "centre", "wrong"),
    [
        (0, 54.5, "focal lengths"),
        (1e-9, 54.5, "fields of view"),
        (float("nan"), 54.5, "finite"),
        (80, 9e5, "far"),
    ],
)
def test_a_camera_of_the_data_that_cannot_be_is_refused(focal, centre, wrong):
    camera = np.array([[focal, 0, centre], [0, 80, 34.5], [0, 0, 1]])
    shot = Shot("x", np.zeros((70, 110, 3), np.uint8), intrinsics=camera)
    with pytest.raises(ConfigError, match=f"that come with 'x' must be .*{wrong}.*or correct them"):
        camera_of(shot, None, None)


def test_an_odd_camera_of_the_data_is_told_once_and_one_of_no_use_explained(run, tmp_path, capsys):
    sequence = tmp_path / "sequences" / "00"
    for number in range(2):
        coloured(sequence / "image_2" / f"{number:06d}.png", number)
    (sequence / "calib.txt").write_text("P2: 700 0 47.5 0 0 700 31.5 0 0 0 1 0\n")
    geopretrain.predict(run, tmp_path / "sequences", tmp_path / "out", save="cloud")
    assert capsys.readouterr().out.count("field of view is 8 degrees") == 1
    (sequence / "calib.txt").write_text("P2: 718.856 0 607.1928 0 0 718.856 185.2157 0 0 0 1 0\n")
    with pytest.raises(ConfigError, match=r"376x1241, another shape.* So no points can be made"):
        geopretrain.predict(run, tmp_path / "sequences", tmp_path / "cut", save="cloud", progress=False)


def test_intrinsics_of_other_pictures_are_refused_or_warned_of_once(run, tmp_path, capsys):
    shot = Shot("small", np.zeros((70, 110, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"for 'small' must be .*px of the pictures of 70x110"):
        camera_of(shot, "721,721,609,172", None)
    for name in "ab":
        Image.fromarray(shot.image).save(tmp_path / f"{name}.png")
    for focal, count in ((100, 0), (721, 1)):
        words = {"save": "cloud", "intrinsics": f"{focal},{focal},55,35"}
        geopretrain.predict(run, tmp_path, tmp_path / f"out{focal}", **words)
        assert capsys.readouterr().out.count("the horizontal field of view is 9 degrees") == count


def test_video_in_video_out(run, tmp_path):
    import av

    video = "synthetic:street?frames=7&seed=3"
    (written,) = geopretrain.predict(run, video, tmp_path, save="video", progress=False)
    with av.open(str(written)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 7
    first = next(geopretrain.data.readers.open_source(video)[0].frames()).image
    assert frames[0].shape[1] == first.shape[1]
    above = frames[0][: first.shape[0]].astype(float)
    assert np.abs(above - first).mean() < 20  # the input is above, what is seen in it below


def test_what_cannot_be_saved_is_said(run, image, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'cloud'"):
        geopretrain.predict(run, image, tmp_path / "out", save="clouds", progress=False)
    with pytest.raises(ConfigError, match="a picture and no video"):
        geopretrain.predict(run, image, tmp_path / "out", save="video", progress=False)
    with pytest.raises(ConfigError, match="--intrinsics"):
        geopretrain.predict(run, image, tmp_path / "out", save="cloud", progress=False)


def test_nothing_is_written_where_a_later_output_would_be_refused(run, image, tmp_path):
    out, video = tmp_path / "out", "synthetic:street?frames=3"
    for save in (["picture", "cloud"], ["picture", "video"]):  # the second source has no camera, no video
        with pytest.raises(ConfigError):
            geopretrain.predict(run, [video, image], out, save=save, progress=False)
        assert not out.exists()
    for name in ("a", "b", "c"):
        image.with_name(f"{name}.png").write_bytes(image.read_bytes())
    out.mkdir()
    (out / "noise.png").write_bytes(b"mine")  # that of the last picture
    with pytest.raises(RunFolderError, match=r"noise\.png' exists"):
        geopretrain.predict(run, tmp_path, out, progress=False)
    assert [path.name for path in out.iterdir()] == ["noise.png"]


def test_overwrite_replaces_predictions_and_no_picture_of_the_user(run, image, tmp_path):
    out = tmp_path / "out"
    for overwrite in (False, True):
        geopretrain.predict(run, image, out, overwrite=overwrite, progress=False)
    (out / "noise_depth.json").write_text("mine")
    with pytest.raises(RunFolderError, match=r"noise_depth\.json' exists and was not written"):
        geopretrain.predict(run, image, out, save=["depth"], overwrite=True, progress=False)
    before = image.read_bytes()
    with pytest.raises(RunFolderError, match="not written by geopretrain"):
        geopretrain.predict(run, image, image.parent, overwrite=True, progress=False)
    assert image.read_bytes() == before


def test_overwrite_knows_the_predictions_of_earlier_versions(run, image, tmp_path):
    out = tmp_path / "out"
    geopretrain.predict(run, image, out, progress=False)
    (out / ".geopretrain" / "files.jsonl").unlink()
    (out / ".geopretrain").rmdir()
    assert geopretrain.predict(run, image, out, overwrite=True, progress=False) == [out / "noise.png"]


def coloured(path, seed=0, size=(64, 96)):
    path.parent.mkdir(exist_ok=True, parents=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def depth_map(path, size=(64, 96)):
    Image.fromarray(np.full(size, 5000, np.uint16)).save(path)


def names(paths):
    return [path.name for path in paths]


def test_what_was_predicted_is_not_predicted_from_again(run, tmp_path, capsys):
    folder = tmp_path / "in"
    for number, name in enumerate(("a.jpg", "b.jpg")):
        coloured(folder / name, number)
    first = geopretrain.predict(run, folder, folder, save=["picture", "depth"], progress=False)
    assert names(first) == ["a.png", "a_depth.png", "b.png", "b_depth.png"]
    assert names(geopretrain.predict(run, folder, tmp_path / "again")) == ["a.png", "b.png"]
    assert "4 files were written by geopretrain" in capsys.readouterr().out
    assert len(geopretrain.predict(run, first, tmp_path / "only", progress=False)) == 4


@pytest.mark.parametrize(
    ("pictures", "maps"),
    [
        (["x.png", "y.png"], ["x_depth.png", "y_depth.png"]),
        (["x.jpg", "y.jpg"], ["x.png", "y.png"]),
        (["rgb_00045.jpg", "rgb_00046.jpg"], ["sync_depth_00045.png"]),
        (["frame-0.color.png", "frame-1.color.png"], ["frame-0.depth.png", "frame-1.depth.png"]),
        (["0_image.png"], ["0_disparity.png", "odd_depth_map.png"]),
    ],
)
def test_depth_maps_beside_pictures_are_no_pictures(run, tmp_path, capsys, pictures, maps):
    folder = tmp_path / "in"
    for number, name in enumerate(pictures):
        coloured(folder / name, number)
    for name in maps:
        depth_map(folder / name)
    expected = [f"{name.rpartition('.')[0]}.png" for name in pictures]
    for inputs in (folder, sorted(folder.iterdir())):
        out = tmp_path / f"out{isinstance(inputs, list)}"
        assert sorted(names(geopretrain.predict(run, inputs, out))) == expected
        assert "left out, as no pictures. Name a file alone to have it taken." in capsys.readouterr().out
    assert len(geopretrain.predict(run, folder / maps[0], tmp_path / "one")) == 1
    if "d" in maps[0]:
        assert "is a depth map: taken as pictures, because nothing else was given" in capsys.readouterr().out


def test_16_bit_pictures_alone_and_8_bit_pictures_of_any_name_are_taken(run, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    depth_map(tmp_path / "in" / "000.png")
    for name in ("in_depth.png", "deep.png", "001.png", "display.png"):
        coloured(tmp_path / "in" / name)
    assert len(geopretrain.predict(run, tmp_path / "in", tmp_path / "out")) == 5
    assert "left out" not in capsys.readouterr().out


def test_pictures_of_kinds_that_are_not_read_are_named_and_animations_told(run, image, tmp_path, capsys):
    Image.open(image).save(
        tmp_path / "wave.webp", save_all=True, append_images=[Image.new("RGB", (110, 70), "red")]
    )
    (tmp_path / "phone.HEIC").write_bytes(b"0000ftypheic")
    words = ["predict", str(run.path), str(tmp_path), "--out"]
    assert cli.main([*words, str(tmp_path / "out")]) == 3
    said = capsys.readouterr()
    assert "phone.HEIC is of a kind that is not read" in said.out + said.err
    assert "the first picture is taken" in said.out + said.err
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {"noise", "wave"}
    for picture in (image, tmp_path / "wave.webp"):
        picture.unlink()
    assert cli.main([*words, str(tmp_path / "other")]) == 2
    assert "phone.HEIC is of a kind that is not read: convert it" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_of_phones_are_predicted_upright_and_whole(run, tmp_path, orientation):
    pixels = np.zeros((70, 110, 3), np.uint8)
    pixels[:30, :40] = 255
    note = Image.Exif()
    note[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(tmp_path / "noted.png", exif=note)
    upright = np.ascontiguousarray(np.rot90(pixels, {3: 2, 6: 3, 8: 1}[orientation]))
    Image.fromarray(upright).save(tmp_path / "upright.png")
    files = [tmp_path / "noted.png", tmp_path / "upright.png"]
    geopretrain.predict(run, files, tmp_path / "out", save="picture,depth", progress=False)
    for ending in ("", "_depth"):
        noted, expected = (
            np.asarray(Image.open(tmp_path / "out" / f"{file.stem}{ending}.png")) for file in files
        )
        assert noted.shape[:2] == upright.shape[:2]
        assert (noted == expected).all()


def test_videos_of_one_name_stay_apart(run, tmp_path):
    for place, seed in (("a", 0), ("b", 1)):
        for number in range(3):
            coloured(tmp_path / place / "seq" / f"{number}.png", 10 * seed + number, (64, 96 + 32 * seed))
    (tmp_path / "a" / "x.txt").touch()
    inputs = [tmp_path / "a", tmp_path / "b"]
    written = geopretrain.predict(run, inputs, tmp_path / "out", save=["video", "picture"], progress=False)
    assert sorted(names(written)) == [
        *("seq-2.mp4", "seq-2_000000.png", "seq-2_000001.png", "seq-2_000002.png"),
        *("seq.mp4", "seq_000000.png", "seq_000001.png", "seq_000002.png"),
    ]


def test_outputs_of_one_call_never_replace_each_other(run, tmp_path):
    for name in ("x.png", "x.jpg", "X.bmp", "x_depth.bmp", "x-2.png"):
        coloured(tmp_path / "in" / name)
    inputs = [tmp_path / "in" / name for name in ("x.png", "x.jpg", "X.bmp", "x-2.png")]
    written = geopretrain.predict(run, inputs, tmp_path / "out", save=["picture", "depth"], progress=False)
    assert len({name.casefold() for name in names(written)}) == 8
    written = geopretrain.predict(
        run, [tmp_path / "in" / "x_depth.bmp"], tmp_path / "alone", save=["picture", "depth"], progress=False
    )
    assert names(written) == ["x_depth.png", "x_depth_depth.png"]
