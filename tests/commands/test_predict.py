from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import geopretrain
import geopretrain.data.readers
from geopretrain import ConfigError
from geopretrain.errors import RunFolderError
from geopretrain.prediction.inputs import Shot
from geopretrain.prediction.outputs import camera_of, cloud_points, depth_values, ply

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
    known = Shot("x", shot.image, intrinsics=np.eye(3))
    assert camera_of(known, None, None)[0, 0] == 1


def test_intrinsics_of_other_pictures_are_refused_or_warned_of_once(run, tmp_path, capsys):
    shot = Shot("small", np.zeros((70, 110, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"for 'small' must be .*px of the pictures of 110x70"):
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
