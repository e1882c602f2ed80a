"""Files for the viewer: what is logged, to a stand-in of its library, and to the library where it is."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch

from geopretrain.errors import ConfigError, DataError
from geopretrain.prediction.inputs import Shot
from geopretrain.prediction.rendering import Rendering
from geopretrain.prediction.viewer import MAX_POINTS, ViewerFile, require_viewer
from geopretrain.tasks.base import DepthTask

K = np.array([[50.0, 0, 40], [0, 50, 30], [0, 0, 1]])


class Knows(DepthTask):
    name = "monodepth"
    depth_meaning = "scale"
    eval_transform = train_transform = loss = predict = None

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))


def shot(**more):
    image = np.full((300, 400, 3), 90, np.uint8)
    return Shot("walk_000003", image, video="walk [1]", source="walk.mp4", **more)


def seen():
    return Rendering(np.zeros((300, 400, 3), np.uint8), np.full((300, 400), 0.5, np.float32))


@pytest.fixture
def logged(monkeypatch):
    """Put a stand-in in the place of rerun, and return what is logged."""
    found = []

    class Stream:
        def __init__(self, name):
            self.time = None

        def save(self, path):
            path.write_bytes(b"RRF2")

        def set_time(self, timeline, sequence):
            self.time = (timeline, sequence)

        def log(self, path, what, static=False):
            found.append(("/".join(path) if isinstance(path, list) else path, what, self.time))

        def flush(self):
            pass

        disconnect = flush

    module = ModuleType("rerun")
    module.__spec__ = ModuleSpec("rerun", None)
    module.RecordingStream = Stream
    module.ViewCoordinates = type("ViewCoordinates", (), {"RDF": "RDF"})
    for kind in ("TextDocument", "Image", "DepthImage", "Points3D", "Transform3D", "Pinhole"):
        setattr(module, kind, lambda *args, kind=kind, **words: (kind, args, words))
    monkeypatch.setitem(sys.modules, "rerun", module)
    return found


def test_depth_camera_pose_and_points_of_a_frame_are_logged(logged, tmp_path):
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    with ViewerFile(tmp_path / "x.rrd", Knows(), None, None) as file:
        file.add(shot(intrinsics=K, pose=pose), seen())
        file.add(shot(intrinsics=K), seen())
    assert (tmp_path / "x.rrd").read_bytes() == b"RRF2"
    about, *rest = logged
    assert "up to a factor" in about[1][1][0]
    first = {path: what for path, what, time in rest if time == ("picture", 0)}
    camera = "world/walk [1]/camera"
    assert set(first) == {
        *(camera, f"{camera}/image", f"{camera}/image/depth", f"{camera}/points", "prediction/walk [1]"),
    }
    assert first[camera][2]["translation"].tolist() == [1, 2, 3]
    assert (first[f"{camera}/image/depth"][1][0] == 2).all()
    points = first[f"{camera}/points"][1][0]
    assert 0 < len(points) <= MAX_POINTS
    assert (points[:, 2] == 2).all()
    assert camera not in {path for path, _, time in rest if time == ("picture", 1)}


def test_without_a_camera_there_are_no_points_which_is_said_once(logged, tmp_path, capsys):
    with ViewerFile(tmp_path / "x.rrd", Knows(), None, None) as file:
        for _ in range(3):
            file.add(shot(), seen())
    assert not any(path.endswith("points") for path, _, _ in logged)
    assert capsys.readouterr().out.count("depth without points") == 1


def broken_off(path):
    with ViewerFile(path, Knows(), None, None) as file:
        file.add(shot(intrinsics=K), seen())
        raise DataError("broken")


def test_a_file_that_could_not_be_finished_is_not_there(logged, tmp_path):
    with pytest.raises(DataError, match="broken"):
        broken_off(tmp_path / "x.rrd")
    assert list(tmp_path.iterdir()) == []


def test_without_its_library_what_to_install_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'geopretrain\[rerun\]'"):
        require_viewer()


@pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="needs rerun-sdk")
def test_the_library_writes_a_file_that_it_knows(tmp_path):
    with ViewerFile(tmp_path / "x.rrd", Knows(), None, None) as file:
        for number in range(3):
            pose = np.eye(4)
            pose[2, 3] = number
            file.add(shot(intrinsics=K, pose=pose), seen())
    written = (tmp_path / "x.rrd").read_bytes()
    assert written[:3] == b"RRF"
    assert len(written) > 100_000
