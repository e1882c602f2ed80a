import shutil

import cv2
import numpy as np
import pytest
from making_clips import CENTRE, FOCAL, sliding_frames, texture, write_images, write_kitti
from PIL import Image

from geopretrain.data.file_names import numbering_gaps
from geopretrain.data.readers import detect, open_source
from geopretrain.data.readers.depth_maps import read_depth_png
from geopretrain.data.readers.velodyne import project_lidar
from geopretrain.errors import ConfigError, DataError

# ---------------------------------------------------------------- folders of images


def test_sources_folder_is_in_natural_order(tmp_path):
    for i in (10, 9, 2, 1):
        Image.fromarray(np.full((64, 64, 3), i, np.uint8)).save(tmp_path / f"frame{i}.png")
    (clip,) = open_source(tmp_path)
    frames = list(clip.frames())
    assert [f.name for f in frames] == ["frame1.png", "frame2.png", "frame9.png", "frame10.png"]
    assert [f.image[0, 0, 0] for f in frames] == [1, 2, 9, 10]
    assert [f.index for f in clip.frames(start=2)] == [2, 3]
    assert (clip.kind, clip.size, clip.length, clip.fps, clip.intrinsics) == (
        "folder",
        (64, 64),
        4,
        None,
        None,
    )


def test_sources_mixed_sizes_are_refused(tmp_path):
    write_images(tmp_path, sliding_frames(4))
    Image.fromarray(texture(70, 90)).save(tmp_path / "other.png")
    with pytest.raises(DataError, match=r"mixes image sizes.*96x128 px.*70x90"):
        open_source(tmp_path)


def test_sources_few_broken_frames_are_named_not_hidden(tmp_path):
    write_images(tmp_path, sliding_frames(20))
    (tmp_path / "000004.png").write_bytes(b"")
    Image.fromarray(texture(70, 90)).save(tmp_path / "000009.png")
    (clip,) = open_source(tmp_path)
    broken = {f.index: f.error for f in clip.frames() if f.error}
    assert set(broken) == {4, 9}
    assert "000004.png" in broken[4]
    assert "70x90" in broken[9]


def test_sources_unreadable_folder_says_why(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_text("no image")
    with pytest.raises(DataError, match=r"no readable image.*0\.png is not an image"):
        open_source(tmp_path)


def test_sources_unknown_layout_names_the_known_ones(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no known layout") as caught:
        open_source(tmp_path)
    assert all(layout.words in str(caught.value) for layout in detect.LAYOUTS)
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "gone")


def test_sources_single_image_is_no_video(tmp_path):
    write_images(tmp_path, sliding_frames(1))
    with pytest.raises(DataError, match="single image"):
        open_source(tmp_path / "000000.png")


def test_sources_parent_of_folders_gives_several_clips(tmp_path):
    write_images(tmp_path / "b", sliding_frames(3))
    write_images(tmp_path / "a", sliding_frames(3))
    write_images(tmp_path / "depth", sliding_frames(3))  # never frames
    assert [clip.name for clip in open_source(tmp_path)] == [f"{tmp_path.name}/a", f"{tmp_path.name}/b"]


def test_sources_intrinsics_file_and_override(tmp_path):
    write_images(tmp_path, sliding_frames(3))
    (tmp_path / "intrinsics.txt").write_text("100 101 63 47\n")
    assert open_source(tmp_path)[0].intrinsics.tolist() == [[100, 0, 63], [0, 101, 47], [0, 0, 1]]
    given = np.eye(3)
    assert np.array_equal(open_source(tmp_path, given)[0].intrinsics, given)
    (tmp_path / "intrinsics.txt").write_text("100 x")
    with pytest.raises(DataError, match=r"intrinsics\.txt"):
        open_source(tmp_path)


def test_sources_numbering_gaps():
    assert numbering_gaps(["a_2.png", "a_4.png", "a_6.png", "a_12.png", "a_14.png"]) == {3}
    assert numbering_gaps(["a_1.png", "a_2.png", "b_3.png", "b_4.png"]) == {2}
    assert numbering_gaps(["x.png", "y.png", "z.png"]) == set()


# ---------------------------------------------------------------- KITTI raw


def test_sources_kitti_intrinsics_and_depth_png(tmp_path):
    (clip,) = open_source(write_kitti(tmp_path))
    assert (clip.kind, clip.fps, clip.has_depth, clip.depth_protocol) == ("kitti_raw", 10.0, True, "kitti")
    assert clip.intrinsics.tolist() == [[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]]
    assert clip.depth(0) is None
    depth = clip.depth(1)
    assert depth[10, 20] == 5.5
    assert (depth > 0).sum() == 1


def test_sources_kitti_projects_scans_keeping_the_nearest(tmp_path):
    (clip,) = open_source(write_kitti(tmp_path, depth="bin"))
    depth = clip.depth(1)
    hits = {(int(y), int(x)): float(depth[y, x]) for y, x in np.argwhere(depth > 0)}
    # principal point (63.5, 47.5) rounds to the even neighbour (64, 48); 1 m right at 10 m is 10 px
    assert hits == {(48, 64): 10.0, (48, 74): 10.0}


def test_sources_kitti_damaged_scan_and_missing_calibration(tmp_path):
    write_kitti(tmp_path, depth="bin")
    (clip,) = open_source(tmp_path)
    next(tmp_path.rglob("*.bin")).write_bytes(b"123456")
    with pytest.raises(DataError, match="damaged"):
        clip.depth(1)
    (tmp_path / "2011_09_26" / "calib_cam_to_cam.txt").write_text("S_02: 1 2\n")
    with pytest.raises(DataError, match=r"calib_cam_to_cam\.txt has no line 'P_rect_02:'"):
        open_source(tmp_path)


def test_sources_kitti_timestamps(tmp_path):
    write_kitti(tmp_path)
    stamps = [f"2011-09-26 13:02:2{i}.{i}00000000" for i in range(3)]
    next(tmp_path.rglob("image_02")).joinpath("timestamps.txt").write_text("\n".join(stamps) + "\n")
    (clip,) = open_source(tmp_path)
    assert clip.time(2) == pytest.approx(2.2)
    assert clip.fps == pytest.approx(1 / 1.1)


def test_sources_lidar_projection_drops_what_is_out_of_view():
    projection = np.array([[10.0, 0, 5, 0], [0, 10, 5, 0], [0, 0, 1, 0]])  # already camera axes
    points = np.array([[1.0, 0, 2], [1, 0, 4], [9, 0, 1], [1, 0, -2]], np.float32)
    depth = project_lidar(points, projection, (10, 12))
    hits = {(int(y), int(x)): float(depth[y, x]) for y, x in np.argwhere(depth > 0)}
    assert hits == {(5, 10): 2.0, (5, 8): 4.0}  # u = 10 x/z + 5: 10 (z=2), 7.5 -> 8 (z=4); 95 is outside


def test_sources_kitti_real_scan_equals_the_stored_projection(shared_data):
    clip = open_source(shared_data / "kitti_raw")[0]
    stored = clip.depth(7)
    ours = clip.project(clip.drive / "velodyne_points" / "data" / "0000000007.bin")
    assert np.array_equal(ours > 0, stored > 0)
    assert np.abs(ours - stored).max() <= 1 / 512  # the stored maps have a resolution of 1/256 m


def test_sources_kitti_accumulated_depth_serves_where_there_are_no_scans(tmp_path):
    write_kitti(tmp_path)
    maps = next(tmp_path.rglob("velodyne_raw"))
    (maps.parent / "groundtruth").mkdir()
    shutil.copytree(maps / "image_02", maps.parent / "groundtruth" / "image_02")
    assert open_source(tmp_path)[0].warnings == []
    shutil.rmtree(maps)
    (clip,) = open_source(tmp_path)
    assert clip.depth(1)[10, 20] == 5.5
    assert "accumulated scans" in clip.warnings[0]


def write_right_camera(root, numbers=(0, 1, 2), shift=-40.0):
    """Add camera 3, 0.5 m right of camera 2, which is 0.1 m left of camera 0 (P = K [I | t])."""
    day = root / "2011_09_26"
    rows = [f"{FOCAL} 0 {CENTRE[0]} {{}} 0 {FOCAL} {CENTRE[1]} 0 0 0 1 0".format(x) for x in (10.0, shift)]
    eye = "1 0 0 0 1 0 0 0 1"
    (day / "calib_cam_to_cam.txt").write_text(
        f"R_rect_00: {eye}\nP_rect_02: {rows[0]}\nP_rect_03: {rows[1]}\n"
    )
    folder = day / "2011_09_26_drive_0001_sync" / "image_03" / "data"
    write_images(folder, sliding_frames(3, seed=9), "{:010d}.png")
    for number in {0, 1, 2} - set(numbers):
        (folder / f"{number:010d}.png").unlink()


def test_sources_kitti_right_camera(tmp_path):
    write_kitti(tmp_path)
    assert not open_source(tmp_path)[0].has_stereo
    write_right_camera(tmp_path, numbers=(0, 2))
    (clip,) = open_source(tmp_path)
    assert clip.has_stereo
    np.testing.assert_allclose(clip.T_to_stereo[:3, 3], [-0.5, 0, 0], atol=1e-12)
    assert clip.stereo_intrinsics.tolist() == clip.intrinsics.tolist()
    assert np.array_equal(clip.stereo(2), sliding_frames(3, seed=9)[2])
    assert clip.stereo(1) is None
    assert "1 of 3 frames have no right image." in clip.warnings
    given = np.array([[90.0, 0, 60], [0, 90, 40], [0, 0, 1]])
    assert np.array_equal(open_source(tmp_path, given)[0].stereo_intrinsics, given)


@pytest.mark.parametrize(("shift", "words"), [(10.0, "baseline is 0 m"), (90.0, "Exchange left and right")])
def test_sources_kitti_impossible_baseline_is_refused(tmp_path, shift, words):
    write_kitti(tmp_path)
    write_right_camera(tmp_path, shift=shift)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path)


def test_sources_lidar_as_released_is_one_pixel_off_and_measured_from_the_scanner():
    projection = np.array([[0.0, -10, 0, 0], [0, 0, -10, 0], [1, 0, 0, -0.27]])  # camera 0.27 m ahead
    point = np.array([[4.27, -2.0, -0.8]], np.float32)
    plain, released = (project_lidar(point, projection, (8, 9), as_released=flag) for flag in (False, True))
    assert {tuple(p): plain[tuple(p)] for p in np.argwhere(plain > 0)} == {(2, 5): pytest.approx(4.0)}
    assert {tuple(p): released[tuple(p)] for p in np.argwhere(released > 0)} == {(1, 4): pytest.approx(4.27)}


# ---------------------------------------------------------------- 7-Scenes


def write_seven_scenes(root, with_matrix=True):
    frames = sliding_frames(4)
    folder = write_images(root / "seq-01", frames, "frame-{:06d}.color.png")
    for i in range(4):  # every third frame of a 30 frames/s camera
        (folder / f"frame-{i:06d}.color.png").rename(folder / f"frame-{3 * i + 900:06d}.color.png")
    values = np.full((96, 128), 1500, np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    cv2.imwrite(str(folder / "frame-000903.depth.proj.png"), values)
    cv2.imwrite(str(folder / "frame-000900.depth.png"), values)  # native: another camera, not used
    if with_matrix:
        (root / "camera-intrinsics-color.txt").write_text("105 0 64\n0 105 47\n0 0 1\n")
    return root


def test_sources_seven_scenes(tmp_path):
    (clip,) = open_source(write_seven_scenes(tmp_path))
    assert "Native depth maps are not used" in clip.warnings[0]
    assert (clip.kind, clip.fps, clip.length, clip.depth_protocol) == ("7scenes", 10.0, 4, "dense")
    assert clip.intrinsics[0].tolist() == [105, 0, 64]
    assert clip.depth(0) is None
    depth = clip.depth(1)
    assert depth[0, 0] == depth[0, 1] == 0
    assert depth[1, 1] == pytest.approx(1.5)


def test_sources_seven_scenes_states_its_default_camera(tmp_path):
    (clip,) = open_source(write_seven_scenes(tmp_path, with_matrix=False))
    assert clip.intrinsics[0, 0] == pytest.approx(525 * 128 / 640)
    assert "usual focal length" in clip.warnings[0]


# ---------------------------------------------------------------- CamVid


def test_sources_camvid_is_its_validation_sequence(tmp_path):
    for split, first in (("val", 7959), ("train", 30), ("test", 8550)):
        folder = write_images(tmp_path / split, sliding_frames(3), "x{}.png")
        for i in range(3):
            (folder / f"x{i}.png").rename(folder / f"0016E5_{first + 2 * i:05d}.png")
        (tmp_path / f"{split}annot").mkdir()
    (clip,) = open_source(tmp_path)
    assert [f.name for f in clip.frames()] == ["0016E5_07959.png", "0016E5_07961.png", "0016E5_07963.png"]
    assert (clip.kind, clip.fps) == ("camvid", 15.0)
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_source(tmp_path)


# ---------------------------------------------------------------- synthetic


def test_sources_synthetic_spec_errors():
    with pytest.raises(ConfigError, match=r"no synthetic world 'streat'.*'street'"):
        open_source("synthetic:streat")
    with pytest.raises(ConfigError, match=r"unknown option 'frame'.*'frames'"):
        open_source("synthetic:street?frame=3")
    with pytest.raises(ConfigError, match="whole number"):
        open_source("synthetic:street?frames=many")


def test_sources_synthetic_worlds_have_depth_and_camera():
    clips = open_source("synthetic:street?frames=2&seed=5&worlds=2&height=64&width=96")
    assert [clip.name for clip in clips] == ["street-5", "street-6"]
    clip = clips[0]
    frame = next(iter(clip.frames()))
    assert frame.image.shape == (64, 96, 3)
    assert frame.image.dtype == np.uint8
    depth = clip.depth(0)
    assert depth.shape == (64, 96)
    assert np.isfinite(depth).all()
    assert (depth > 0).mean() > 0.2
    assert clip.intrinsics.shape == (3, 3)


def test_sources_depth_png_must_be_16_bit(tmp_path):
    cv2.imwrite(str(tmp_path / "d.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="16-bit"):
        read_depth_png(tmp_path / "d.png", 256)


@pytest.mark.parametrize(
    ("name", "kinds", "count"),
    [("kitti_raw", {"kitti_raw"}, 2), ("7scenes", {"7scenes"}, 1), ("camvid", {"camvid"}, 1),
     ("videos", {"video"}, 3), ("nuscenes_cam_back", {"folder"}, 3), ("nyuv2/sequences", {"folder"}, 3)],
)  # fmt: skip
def test_sources_real_layouts_are_recognised(shared_data, name, kinds, count):
    clips = open_source(shared_data / name)
    assert len(clips) == count
    assert {clip.kind for clip in clips} == kinds
    assert all(next(iter(clip.frames())).image.shape == (*clip.size, 3) for clip in clips)


def test_depth_maps_among_the_pictures_of_a_folder_are_no_frames(tmp_path):
    write_images(tmp_path, sliding_frames(4), "{:03d}.png")
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number:03d}_depth.png"), np.full((96, 128), 900, np.uint16))
    (clip,) = open_source(tmp_path)
    assert clip.length == 4
    assert "4 files are depth maps" in clip.warnings[0]
    assert "left out, as no pictures" in clip.warnings[0]
