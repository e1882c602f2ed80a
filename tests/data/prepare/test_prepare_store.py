import json
import shutil

import numpy as np
import pytest
from making_clips import sliding_frames, texture, write_images, write_video
from PIL import Image

from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.intrinsics import (
    camera_warning,
    choose_camera,
    parse_intrinsics,
    stored_intrinsics,
)
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.resize import bottom_crop, central_crop
from geopretrain.data.sizes import working_size
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError, RunFolderError

SIZE = (96, 128)


def make(tmp_path, frames, name="clip", **options):
    write_images(tmp_path / name, frames)
    return prepare(tmp_path / name, tmp_path / "store", progress=False, **{"size": SIZE, **options})


def contents(store):
    return (store.path / "frames.u8").read_bytes(), (store.path / "store.json").read_text()


# ---------------------------------------------------------------- size, crop, camera


@pytest.mark.parametrize(
    ("original", "expected"),
    [((375, 1242), (96, 320)), ((480, 640), (160, 192)), ((540, 960), (128, 224)), ((720, 1280), (128, 224)),
     ((1920, 1080), (224, 128)), ((64, 64), (64, 64))],
)  # fmt: skip
def test_prepare_automatic_size(original, expected):
    assert working_size(original) == expected


def test_prepare_crop_only_beyond_ten_percent():
    assert central_crop((480, 640), (160, 192)) == (0, 0, 480, 640)  # 1.2 against 1.33: exactly a tenth
    assert central_crop((480, 640), (96, 320)) == (144, 0, 192, 640)
    assert central_crop((375, 1242), (96, 96)) == (0, 433, 375, 375)


def test_frames_are_cut_out_of_the_middle_of_the_lower_edge_as_they_are(tmp_path):
    assert bottom_crop((375, 1242), (352, 1216)) == (23, 13, 352, 1216)
    assert bottom_crop((370, 1226), (352, 1216)) == (18, 5, 352, 1216)
    frames = sliding_frames(4, size=(110, 151))
    store = make(tmp_path, frames, crop="bottom", still_images=True, intrinsics="100,100,75,54.5")
    assert np.array_equal(store.frame_image(0, 1), frames[1][14:, 11:139])
    np.testing.assert_allclose(store.intrinsics(0)[:2, 2], [75 - 11, 54.5 - 14])
    with pytest.raises(DataError, match="cannot be cut out of pictures of 110x151"):
        prepare(tmp_path / "clip", tmp_path / "other", progress=False, size=(96, 200), crop="bottom")
    with pytest.raises(ConfigError, match="crop needs the size"):
        PreparationOptions(crop="bottom")


def test_prepare_intrinsics_follow_crop_and_resize():
    matrix = parse_intrinsics("500,510,319.5,239.5")
    stored = stored_intrinsics(matrix, (144, 0, 192, 640), (96, 320))
    # crop moves cy by 144; halving keeps pixel centres at integers: c' = (c + 0.5) / 2 - 0.5
    assert stored.tolist() == [[250, 0, 159.5], [0, 255, 47.5], [0, 0, 1]]


def test_prepare_camera_of_the_user_wins_over_the_data_set():
    given, own = parse_intrinsics("100,100,60,50"), parse_intrinsics("90,90,60,50")
    assert choose_camera((100, 120), own, given=given).intrinsics is given
    assert choose_camera((100, 120), own).intrinsics[0, 0] == 90
    guess = choose_camera((100, 120), None)
    assert not guess.known
    assert "55 degrees" in guess.origin
    assert choose_camera((100, 120), None, fov=90).intrinsics[0, 0] == pytest.approx(60, abs=1)


def test_prepare_intrinsics_for_another_size_are_refused():
    given = parse_intrinsics("721.5,721.5,609.6,172.9")
    with pytest.raises(
        DataError, match=r"Frames are 376x1241 px .*, but the intrinsics were given for 375x1242"
    ):
        choose_camera((376, 1241), None, given=given, given_size=(375, 1242))
    with pytest.raises(DataError, match=r"pass --intrinsics 360\.75,360\.75,304\.55"):
        choose_camera((188, 621), None, given=given, given_size=(376, 1242))
    with pytest.raises(DataError, match=r"principal point given is .*another image size"):
        choose_camera((188, 621), None, given=given)
    assert choose_camera((188, 621), None, given=given, given_size=(188, 621)).known


def test_prepare_intrinsics_of_a_data_set_that_cannot_be():
    for bad in ([[0.0, 0, 9], [0, 50, 9], [0, 0, 1]], [[np.nan, 0, 9], [0, 50, 9], [0, 0, 1]]):
        with pytest.raises(DataError, match="cannot be a camera's"):
            choose_camera((100, 120), np.array(bad))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "-1,1,1,1", "nan,1,1,1", ""])
def test_prepare_intrinsics_text_is_checked(text):
    with pytest.raises(ConfigError, match="fx,fy,cx,cy"):
        parse_intrinsics(text)


def test_prepare_odd_field_of_view_is_warned_of():
    assert camera_warning(parse_intrinsics("100,100,64,48"), SIZE) is None
    assert "8 degrees" in camera_warning(parse_intrinsics("900,900,64,48"), SIZE)


# ---------------------------------------------------------------- what gets into a store


def test_prepare_store_holds_the_frames_and_the_camera(tmp_path):
    frames = sliding_frames(20, step=3.0, size=SIZE)
    store = make(tmp_path, frames, intrinsics="100,100,63.5,47.5", holdout=0.2)
    (clip,) = store.clips
    assert (store.size, clip.stride, store.num_samples) == (SIZE, 1, 18)
    assert clip.motion == pytest.approx(3.0, abs=0.3)
    assert np.array_equal(store.frame_image(0, 7), frames[7])
    assert store.intrinsics_known
    assert store.intrinsics(0).tolist() == [[100, 0, 63.5], [0, 100, 47.5], [0, 0, 1]]
    batch = store.read([3])
    for i, frame in enumerate((4, 3, 5)):  # target, previous, next
        assert np.array_equal(batch.images[0, i].permute(1, 2, 0).numpy(), frames[frame])
    assert "18 triplets" in store_in_words(store)
    assert (store.path / "contact_sheet.png").stat().st_size > 10_000
    assert not (store.path / ".preparing").exists()


def test_prepare_stride_and_static_frames(tmp_path):
    moving = sliding_frames(24, step=1.0)
    store = make(tmp_path, moving + [moving[-1]] * 10)
    (clip,) = store.clips
    assert clip.stride == 3
    assert max(clip.targets) <= 23
    assert clip.static > 5
    assert max(clip.frames) <= 26  # frames nobody needs are not stored


def test_prepare_no_triplet_crosses_a_cut(tmp_path):
    store = make(tmp_path, sliding_frames(12) + sliding_frames(12, seed=5))
    assert [clip.name for clip in store.clips] == ["clip#1", "clip#2"]
    for clip in store.clips:
        used = {t + o * clip.stride for t in clip.targets for o in (-1, 0, 1)}
        assert max(used) < 12 or min(used) >= 12
    assert any("split into 2 segments" in warning.lower() for warning in store.warnings)


def test_prepare_broken_frames_are_skipped_counted_named(tmp_path):
    folder = write_images(tmp_path / "clip", sliding_frames(30))
    (folder / "000010.png").write_bytes(b"")
    store = prepare(folder, tmp_path / "store", size=SIZE, progress=False)
    (clip,) = store.clips
    assert clip.broken_count == 1
    assert "000010.png" in clip.broken[0]
    assert not {9, 10, 11} & set(clip.targets)
    assert any("1 broken frame skipped" in warning and "000010.png" in warning for warning in store.warnings)


def test_prepare_mostly_broken_is_refused(tmp_path):
    folder = write_images(tmp_path / "clip", sliding_frames(10))
    for i in range(2, 9):
        (folder / f"{i:06d}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="7 of 10 frames cannot be used"):
        prepare(folder, tmp_path / "store", progress=False)


def test_prepare_depth_maps_are_kept_at_source_resolution(tmp_path):
    from making_clips import write_kitti

    store = prepare(write_kitti(tmp_path, count=12), tmp_path / "store", size=SIZE, progress=False)
    assert store.depth_protocol == "kitti"
    assert store.depth_frames() == [(0, 1, False)]
    depth = store.depth(0, 1)
    assert depth.shape == (96, 128)
    assert depth[10, 20] == 5.5
    assert (depth > 0).sum() == 1
    with pytest.raises(ConfigError, match="no depth map"):
        store.depth(0, 2)


def test_prepare_cropped_clip_has_cropped_depth_and_moved_camera(tmp_path):
    from making_clips import write_kitti

    store = prepare(write_kitti(tmp_path, count=12), tmp_path / "store", size=(64, 128), progress=False)
    clip = store.clips[0]
    assert clip.crop == (16, 0, 64, 128)
    assert store.intrinsics(0)[1, 2] == 47.5 - 16
    assert store.depth_frames() == []  # the only measurement, row 10, is cut off
    assert any("central 64x128" in warning for warning in store.warnings)


def test_prepare_several_inputs_become_one_store(tmp_path):
    write_images(tmp_path / "a", sliding_frames(10))
    write_video(tmp_path / "b.mp4", sliding_frames(12, seed=3))
    store = prepare([tmp_path / "a", tmp_path / "b.mp4"], tmp_path / "store", size=SIZE, progress=False)
    assert [(clip.name, clip.kind) for clip in store.clips] == [("a", "folder"), ("b.mp4", "video")]
    assert store.clips[1].first_row == len(store.clips[0].frames)
    second = store.read([len(store.clips[0].targets)]).images[0, 0].permute(1, 2, 0).numpy()
    first_target = store.clips[1].targets[0]
    assert np.abs(second.astype(int) - sliding_frames(12, seed=3)[first_target]).mean() < 8


def test_prepare_max_frames(tmp_path):
    store = make(tmp_path, sliding_frames(40), max_frames=12)
    assert max(store.clips[0].frames) == 11


def test_prepare_synthetic_has_depth_and_known_camera(tmp_path):
    store = prepare("synthetic:street?frames=12&seed=1", tmp_path / "store", min_motion=0.1, progress=False)
    assert store.intrinsics_known
    assert store.depth_protocol == "dense"
    clip, frame, _ = store.depth_frames()[0]
    assert store.depth(clip, frame).shape == (96, 320)


# ---------------------------------------------------------------- what cannot be prepared


def test_prepare_small_images(tmp_path):
    with pytest.raises(DataError, match=r"30x40 px \(height x width\); at least 64 pixels"):
        make(tmp_path, [texture(30, 40)] * 5)


def test_prepare_too_few_frames(tmp_path):
    with pytest.raises(DataError, match=r"clip: too few frames \(2 readable\)"):
        make(tmp_path, sliding_frames(2))


def test_prepare_video_of_one_frame(tmp_path):
    write_video(tmp_path / "one.mp4", sliding_frames(1))
    with pytest.raises(DataError, match=r"one\.mp4: too few frames \(1 readable\)"):
        prepare(tmp_path / "one.mp4", tmp_path / "store", progress=False)


def test_prepare_no_motion(tmp_path):
    with pytest.raises(DataError, match="hardly moves"):
        make(tmp_path, [texture(*SIZE)] * 12)


def test_prepare_nothing_to_prepare(tmp_path):
    with pytest.raises(ConfigError, match="Nothing to prepare"):
        prepare([], tmp_path / "store")
    with pytest.raises(DataError, match=r"gone\.mp4 does not exist"):
        prepare(tmp_path / "gone.mp4", tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (20, 128)}, "32"),
        ({"target_motion": 0.5}, "above min_motion"),
        ({"holdout": 0.9}, "0 to 0.5"),
        ({"max_frames": 2}, "at least 3"),
        ({"intrinsics": "1,2"}, "fx,fy,cx,cy"),
        ({"fov": 200.0}, "above 1 and below 175"),
    ],
)
def test_prepare_impossible_options(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        make(tmp_path, sliding_frames(5), **options)


# ---------------------------------------------------------------- folders in use


def test_prepare_same_request_again_reads_nothing(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    before = (store.path / "store.json").stat().st_mtime_ns
    prepare(tmp_path / "clip", store.path, size=SIZE, progress=False)
    assert (store.path / "store.json").stat().st_mtime_ns == before


def test_prepare_other_request_needs_overwrite(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    with pytest.raises(RunFolderError, match="--overwrite"):
        prepare(tmp_path / "clip", store.path, size=(64, 96), progress=False)
    FrameStore.open(store.path)
    again = prepare(tmp_path / "clip", store.path, size=(64, 96), overwrite=True, progress=False)
    assert again.size == (64, 96)


def test_prepare_failed_overwrite_keeps_the_old_store(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    write_images(tmp_path / "still", [texture(*SIZE)] * 8)
    with pytest.raises(DataError):
        prepare(tmp_path / "still", store.path, overwrite=True, progress=False)
    assert FrameStore.open(store.path).num_samples == store.num_samples


def test_prepare_never_touches_a_foreign_folder(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not empty"):
        make(tmp_path, sliding_frames(5), overwrite=True)
    assert (tmp_path / "store" / "thesis.tex").read_text() == "years of work"


def test_prepare_file_in_the_way(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(RunFolderError, match="a file is in the way"):
        make(tmp_path, sliding_frames(5))


def test_prepare_changed_input_is_noticed(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    Image.fromarray(texture(*SIZE)).save(tmp_path / "clip" / "000012.png")
    with pytest.raises(RunFolderError, match="other inputs"):
        prepare(tmp_path / "clip", store.path, size=SIZE, progress=False)


def test_prepare_damaged_index_is_not_trusted(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    index = json.loads((store.path / "store.json").read_text())
    del index["clips"][0]["targets"]
    (store.path / "store.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="damaged"):
        FrameStore.open(store.path)


def test_prepare_moves_as_one(tmp_path):
    store = make(tmp_path, sliding_frames(12))
    shutil.move(store.path, tmp_path / "elsewhere")
    assert FrameStore.open(tmp_path / "elsewhere").read([0]).images.shape == (1, 3, 3, *SIZE)
