"""KITTI stereo: one clip for each camera, depth and right pictures of the first frames."""

import numpy as np
import pytest
from native_trees import kitti_stereo

from geopretrain.data.readers.detect import open_source
from geopretrain.errors import DataError


@pytest.mark.parametrize("pictures", ["image_", "colored_", "grey"])
def test_disparities_become_depth_and_pairs(tmp_path, pictures):
    (clip,) = open_source(kitti_stereo(tmp_path / "kitti", 3, pictures=pictures))
    assert (clip.kind, clip.length, clip.ordered) == ("kitti_stereo", 3, False)
    assert [frame.name for frame in clip.frames()] == [f"{i:06d}_10.png" for i in range(3)]
    depth = clip.depth(0)
    assert depth[20, 20] == pytest.approx(700 * 0.5 / 25)
    assert depth[3, 3] == depth[8, 3] == 0  # 0 and 65535 are no measurement
    assert clip.T_to_stereo[0, 3] == pytest.approx(-0.5)
    assert clip.intrinsics is not None
    np.testing.assert_allclose(np.diag(clip.intrinsics), (700, 700, 1))
    assert clip.stereo(0) is not None


def test_each_camera_is_a_clip(tmp_path):
    root = kitti_stereo(tmp_path / "kitti", 5, focal=lambda i: 700 if i < 3 else 720)
    clips = open_source(root)
    assert [(clip.name, clip.length) for clip in clips] == [("kitti/camera-1", 3), ("kitti/camera-2", 2)]
    assert [clip.intrinsics[0, 0] for clip in clips] == [700, 720]
    assert clips[1].depth(0)[20, 20] == pytest.approx(720 * 0.5 / 25)


def test_without_right_pictures_there_is_depth(tmp_path):
    root = kitti_stereo(tmp_path / "kitti", 2)
    (root / "training" / "image_3").rename(tmp_path / "elsewhere")
    (clip,) = open_source(root)
    assert clip.has_depth
    assert not clip.has_stereo


def test_without_cameras_the_missing_archive_is_named(tmp_path):
    root = kitti_stereo(tmp_path / "kitti", 2)
    (root / "training" / "calib_cam_to_cam").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"data_scene_flow_calib\.zip"):
        open_source(root)


def test_without_a_disparity_of_a_picture_it_says_which_names_are_expected(tmp_path):
    root = kitti_stereo(tmp_path / "kitti", 1)
    (root / "training" / "disp_occ_0" / "000000_10.png").rename(root / "training" / "disp_occ_0" / "x.png")
    with pytest.raises(DataError, match=r"_10\.png"):
        open_source(root)


def test_of_2012_colour_comes_before_grey_and_both_releases_may_lie_in_one_folder(tmp_path):
    for pictures in ("grey", "colored_"):
        root = kitti_stereo(tmp_path / "kitti", 2, pictures=pictures)
    (clip,) = open_source(root)
    assert "colored_0" in str(clip.files[0])
    kitti_stereo(root, 3, focal=lambda i: 720)
    clips = open_source(root)
    assert [(one.name, one.length) for one in clips] == [("kitti/camera-1", 3), ("kitti/camera-2", 2)]
    assert [one.intrinsics[0, 0] for one in clips] == [720, 700]


def test_of_2012_without_cameras_its_own_archive_is_named(tmp_path):
    root = kitti_stereo(tmp_path / "kitti", 1, pictures="grey")
    (root / "training" / "calib").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"no calib/ .*data_stereo_flow_calib\.zip"):
        open_source(root)
