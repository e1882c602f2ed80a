import numpy as np
import pytest
from making_clips import (
    sliding_frames,
    texture,
    write_depth,
    write_images,
    write_kitti,
    write_stereo,
    write_video,
)
from PIL import Image

from geopretrain.data.prepare.inspection import inspect
from geopretrain.data.prepare.preparation import prepare
from geopretrain.errors import DataError


def test_inspect_video_says_what_it_is(tmp_path):
    report = inspect(write_video(tmp_path / "drive.mp4", sliding_frames(50, step=1.0)))
    text = report.text()
    assert report.fit
    assert not report.problems
    assert "drive.mp4 is a video: 50 frames at 25 frames/s (2.0 s), 96x128 px (height x width)." in text
    assert "suggested stride 3" in text
    assert "unknown intrinsics" in text
    assert "geopretrain data prepare" in text
    assert report.clips[0].motion == pytest.approx(1.0, abs=0.2)


def test_inspect_data_set_with_camera_and_depth(tmp_path):
    text = inspect(write_kitti(tmp_path, count=6)).text()
    assert "is a KITTI raw drive" in text
    assert "focal length 100.0 px" in text
    assert "sparse LiDAR depth" in text


def test_inspect_still_picture_is_not_fit(tmp_path):
    report = inspect(write_images(tmp_path / "still", [texture(96, 128)] * 8))
    assert not report.fit
    assert "does not move" in report.problems[0]
    assert "Not fit" in report.text()


def test_inspect_static_camera_is_not_fit(tmp_path):
    frames = []
    for part in sliding_frames(12, step=4.0, size=(48, 48), seed=2):
        frame = texture(96, 128).copy()
        frame[20:68, 30:78] = part
        frames.append(frame)
    report = inspect(write_images(tmp_path / "surveillance", frames))
    assert not report.fit
    assert "camera that moves" in report.problems[0]


def test_inspect_too_few_and_too_small(tmp_path):
    assert (
        "too few frames (2 readable)"
        in inspect(write_images(tmp_path / "two", sliding_frames(2))).problems[0]
    )
    small = inspect(write_images(tmp_path / "small", sliding_frames(6, size=(40, 50))))
    assert "40x50" in small.problems[0]
    assert not small.fit


def test_inspect_broken_frames_and_cuts_are_counted(tmp_path):
    folder = write_images(tmp_path / "clip", sliding_frames(15) + sliding_frames(15, seed=8))
    (folder / "000005.png").write_bytes(b"")
    report = inspect(folder)
    assert report.fit
    assert report.clips[0].cuts == 1
    assert "broken     1 frame. The first:" in report.text()
    assert "cuts       1 scene cut;" in report.text()


def test_inspect_store_and_labels(tmp_path):
    write_images(tmp_path / "data" / "images", sliding_frames(8))
    write_images(tmp_path / "data" / "labels", sliding_frames(8))
    text = inspect(tmp_path / "data").text()
    assert "Labels: They cannot be used: " in text
    assert "classes.txt is missing" in text
    (tmp_path / "data" / "classes.txt").write_text("road\nsky\n")
    for path in (tmp_path / "data" / "labels").iterdir():
        with Image.open(path) as picture:
            half = np.arange(picture.height)[:, None].repeat(picture.width, axis=1) > 40
        Image.fromarray(half.astype(np.uint8)).save(path)
    text = inspect(tmp_path / "data").text()
    assert "Labels of 8 images: " in text
    assert "Next: geopretrain finetune segmentation --data" in text
    store = prepare(tmp_path / "data" / "images", tmp_path / "store", progress=False)
    assert "Ready for training" in inspect(store.path).text()


def test_inspect_unknown(tmp_path):
    with pytest.raises(DataError, match="known layout"):
        inspect(tmp_path)


def test_inspect_stereo_depth_and_poses(tmp_path):
    write_stereo(tmp_path, count=6)
    write_depth(tmp_path / "depth" / "000002.png", np.full((96, 128), 5000))
    text = inspect(tmp_path).text()
    assert "is a folder of stereo pairs: 6 frames" in text
    assert "second camera 0.200 m to the right for 6 of 6 frames" in text
    assert "dense depth of 1 of 6 frames" in text


def test_inspect_single_images_with_depth_are_fit_for_what_needs_no_video(tmp_path):
    write_images(tmp_path / "images", [texture(96, 128, seed) for seed in range(4)])
    values = np.full((96, 128), 4.0)
    values[0, 0] = np.nan
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "000000.npy", values * 1000)
    report = inspect(tmp_path)
    assert report.fit
    text = report.text()
    assert "--still-images" in text
    assert "millimetres read as metres" in text
    assert "1 not a number" in text
    assert "motion" not in text


def test_depth_that_says_nothing_is_a_problem(tmp_path):
    write_images(tmp_path / "images", [texture(64, 96, seed=number) for number in range(4)])
    frames = sorted(path.stem for path in (tmp_path / "images").iterdir())
    (tmp_path / "depth").mkdir()
    for values, expected in (
        (np.full((64, 96), 100, np.uint8), "not a 16-bit grey PNG. Pictures of depth in colours or 8 bits"),
        (np.zeros((64, 96), np.uint16), "nothing is measured"),
    ):
        for stem in frames:
            Image.fromarray(values).save(tmp_path / "depth" / f"{stem}.png")
        report = inspect(tmp_path)
        assert not report.fit
        assert "No depth map can be used (3 were looked at)" in report.text()
        assert expected in report.text()
    Image.fromarray(np.full((64, 96), 2000, np.uint16)).save(tmp_path / "depth" / f"{frames[0]}.png")
    assert "No depth map" not in inspect(tmp_path).text()


def test_inspect_flow_pairs(shared_data):
    assert "1 pair with known optical flow (kitti flow)" in inspect(shared_data / "flow" / "kitti").text()
    assert "2 pairs with known" in inspect(shared_data / "flow" / "flyingchairs2_crop").text()


def test_every_labelled_layout_is_known_to_inspection(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (64, 64), (90, 60, 30)).save(tmp_path / split / name / "a.png")
    said = inspect(f"images:{tmp_path}").text()
    assert "Images without class maps" in said
    assert "2 train" in said


def test_inspect_lists_all_data_sets_of_a_folder(tmp_path):
    write_kitti(tmp_path / "kitti", count=6)
    write_images(tmp_path / "walk", [texture(96, 128)] * 4)
    for folder in ("images", "labels"):
        (tmp_path / "few" / folder).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(np.zeros((64, 96), np.uint8)).save(tmp_path / "few" / folder / f"{number}.png")
    (tmp_path / "few" / "classes.txt").write_text("a\nb\n")
    text = inspect(tmp_path).text()
    assert f"Also there: few, labelled images. To look at it: geopretrain data inspect {tmp_path}/few" in text
    assert "Also there: kitti, KITTI raw (1 clip)" in text
    assert "walk is a folder of images" in text
    assert "Also there: walk" not in text
