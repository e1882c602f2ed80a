from __future__ import annotations

import csv
import json
import shutil
import weakref
from functools import partial

import cv2
import numpy as np
import pytest
from native_trees import kitti_improved, kitti_raw
from PIL import Image

import geopretrain
from geopretrain import ConfigError, DataError
from geopretrain.cli import main
from geopretrain.commands.evaluate import table
from geopretrain.data.readers.kitti_splits import read_list
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.evaluation.depth import score_depth
from geopretrain.evaluation.measured import MeasuredFrame, truth_doubt
from geopretrain.metrics import ERROR_NAMES, baseline_errors
from geopretrain.runs.loading import load_task

SMALL = {"backbone": "test_resnet", "steps": 2, "batch_size": 2, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluate") / "street"
    geopretrain.prepare("synthetic:street?frames=16", path, size=(64, 96), progress=False)
    return path


@pytest.fixture(scope="module")
def run(store):
    return geopretrain.pretrain(data=store, out=store.parent / "run", progress=False, **SMALL)


def _pairs(folder, size=(48, 80)):
    """Three pictures with depth in units of 1/256 m: the left half at 3 m, the right at 6 m."""
    depth = np.full(size, 3.0)
    depth[:, size[1] // 2 :] = 6.0
    for name in ("images", "depth"):
        (folder / name).mkdir(parents=True)
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        Image.fromarray((depth * 256).astype(np.uint16)).save(folder / "depth" / f"{i}.png")
    return folder


def test_held_out_frames_are_scored_like_at_the_end_of_training(run, store):
    result = geopretrain.evaluate(run, store, device="cpu", progress=False)
    at_end = run.results["depth"]["held_out"]
    assert (result["frames"], result["protocol"]) == ("held_out", at_end["protocol"])
    for name in (*ERROR_NAMES, "log10"):
        assert result[name] == pytest.approx(at_end[name])
        assert result["baselines"]["ground_ramp"][name] == pytest.approx(
            at_end["baselines"]["ground_ramp"][name]
        )
    assert set(result["baselines"]) == {"constant", "row_wise", "ground_ramp"}
    assert (result["predicted"], result["meaning"]) == ("disparity", "scale")


def test_all_frames_of_pictures_with_16_bit_depth_and_the_table(run, tmp_path):
    folder = _pairs(tmp_path / "pairs")
    result = geopretrain.evaluate(
        run, folder, depth_unit=256, protocol="aligned-median", csv=True, out=tmp_path / "out", progress=False
    )
    assert (result["images"], result["frames"]) == (3, "all")
    # everywhere the median of the truth, 4.5 m: half the pixels off by 1/2, half by 1/4
    assert result["baselines"]["constant"]["abs_rel"] == pytest.approx(0.375)
    (written,) = (tmp_path / "out").glob("*.json")
    assert json.loads(written.read_text())["abs_rel"] == result["abs_rel"]
    rows = list(csv.DictReader((tmp_path / "out").glob("*.csv").__next__().open()))
    assert [row["name"][-7:] for row in rows] == ["pairs/0", "pairs/1", "pairs/2"]
    assert {row["protocol"] for row in rows} == {"aligned-median"}
    assert np.mean([float(row["abs_rel"]) for row in rows]) == pytest.approx(result["abs_rel"])


def test_edges_and_planes_are_scored_where_they_are_known_and_pictures_show_the_errors(run, tmp_path):
    folder = _pairs(tmp_path / "pairs")
    for kind in ("edges", "planes"):
        (folder / kind).mkdir()
    planes = np.ones((48, 80), np.uint8)
    planes[:, 40:] = 7
    edges = np.zeros((48, 80), bool)
    edges[:, 40] = True
    Image.fromarray(planes).save(folder / "planes" / "0.png")
    Image.fromarray(edges).save(folder / "edges" / "0.png")
    Image.fromarray(edges).save(folder / "edges" / "2.png")
    (folder / "intrinsics.txt").write_text("60 60 40 24\n")
    scored = partial(geopretrain.evaluate, run, folder, depth_unit=256, out=tmp_path / "out", progress=False)
    result = scored(protocol="aligned-median", csv=True, pictures=2)
    assert 0 <= result["dbe_acc"] <= 10
    assert 0 < result["dbe_com"] <= 10
    assert result["pe_plan"] >= 0
    assert 0 <= result["pe_orie"] <= 90
    assert result["alignment"] == "scaled by the median of each picture"
    assert "DBEacc" in table(result)
    assert "scaled by the median of each picture" in table(result)
    (drawn,) = (tmp_path / "out").glob("*.png")
    assert Image.open(drawn).size[0] > 5 * 80
    (written,) = (tmp_path / "out").glob("*.csv")
    rows = list(csv.DictReader(written.open()))
    assert [bool(row["dbe_acc"]) for row in rows] == [True, False, True]
    official = scored(protocol="ibims-median")
    assert official["pe_plan"] is None  # smaller than 5 % of 640x480
    assert official["dde_0"] + official["dde_m"] + official["dde_p"] == pytest.approx(1)
    assert [value is None for value in official["by_distance"]["abs_rel"][1:7]] == [
        *(True, False, False, True, False, False)
    ]
    with pytest.raises(ConfigError, match="--protocol ibims-median"):
        scored(protocol="ibims")


def test_a_damaged_edge_map_is_named_and_its_picture_left_out(run, tmp_path, capsys):
    folder = _pairs(tmp_path / "pairs")
    (folder / "edges").mkdir()
    (folder / "edges" / "1.png").write_bytes(b"none")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "edges" / "2.png")
    result = geopretrain.evaluate(run, folder, depth_unit=256, out=tmp_path / "out")
    assert (result["images"], len(result["left_out"])) == (1, 2)
    assert "edges/1.png cannot be read" in capsys.readouterr().out


def test_flip_average_changes_the_numbers_a_little(run, store):
    plain, flipped = (geopretrain.evaluate(run, store, flip=flip, progress=False) for flip in (False, True))
    assert flipped["flip"]
    assert flipped["abs_rel"] != plain["abs_rel"]
    assert flipped["abs_rel"] == pytest.approx(plain["abs_rel"], rel=0.1)


def test_frames_of_a_list(run, tmp_path, shared_data):
    split = tmp_path / "list.txt"
    split.write_text("2011_09_26/2011_09_26_drive_0052_sync 4 l\n" * 2 + "2011_09_26_drive_0052_sync 6 r\n")
    result = geopretrain.evaluate(
        run, shared_data / "kitti_raw" / "2011_09_26", split_file=split, out=tmp_path, progress=False
    )
    assert [row["name"][-10:] for row in result["per_image"]] == ["0000000004"]
    assert result["protocol"] == "kitti-eigen-garg-80-median"
    assert result["baselines"] == {}  # from what?


def test_the_eigen_split_is_scored_by_name_against_raw_and_accumulated_scans(run, tmp_path, capsys):
    drive = "2011_09_26_drive_0048_sync"
    kitti_raw(tmp_path / "data" / "kitti_raw", {drive: 9})
    kitti_improved(tmp_path / "data" / "kitti_depth", "val", drive, [5, 6])
    options = {"data_root": tmp_path / "data", "split_file": "eigen-test", "out": tmp_path}
    raw = geopretrain.evaluate(run, "kitti-raw?depth=released", **options)
    said = capsys.readouterr().out
    assert "9 of 697 listed frames are there with measured depth" in said
    assert "truth: single LiDAR scans, projected as in the released ground truth" in said
    options["protocol"] = "kitti-benchmark-80-median"
    improved = geopretrain.evaluate(
        run, "kitti-raw?depth=improved&split=eigen-test", **options, progress=False
    )
    assert [(one["images"], one["listed"], len(one["missing"])) for one in (raw, improved)] == [
        (9, 697, 688),
        (2, 697, 695),
    ]
    assert (raw["truth"][:6], improved["truth"]) == ("single", "accumulated LiDAR scans")
    del options["split_file"]
    assert geopretrain.evaluate(run, "kitti-raw?depth=improved&split=eigen-test", **options)["images"] == 2
    assert "was made for" not in capsys.readouterr().out
    assert truth_doubt("kitti-benchmark-80", raw["truth"]).startswith(
        "kitti-benchmark-80 was made for accumulated"
    )
    assert truth_doubt("kitti-benchmark-80", "") is truth_doubt("kitti-eigen-garg-80-median", "x") is None
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_listed_frames_that_are_absent_are_counted_named_and_written(run, tmp_path, shared_data, capsys):
    drive = "2011_09_26/2011_09_26_drive_0052_sync"
    split = tmp_path / "list.txt"
    lines = [f"{drive} {number:010d} l" for number in (5, 6, 999_999)] + ["2011_09_28/other_drive 1"]
    split.write_bytes(("\ufeff" + "\r\n".join(lines).replace("/", "\\")).encode())
    kitti = shared_data / "kitti_raw" / "2011_09_26"
    result = geopretrain.evaluate(run, kitti, split_file=split, out=tmp_path)
    missing = [f"{drive} 0000999999", "2011_09_28/other_drive 1"]
    said = capsys.readouterr().out
    assert f"2 of 4 listed frames are there with measured depth; missing: {', '.join(missing)}." in said
    assert "2 of 4 listed frames were there to be scored." in said
    (written,) = tmp_path.glob("*.json")
    for scores in (result, json.loads(written.read_text())):
        assert (scores["images"], scores["listed"], scores["missing"]) == (2, 4, missing)


def test_pictures_without_depth_are_counted(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("images", "depth"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(4):
        image = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "data" / "images" / f"{number}.png")
        if number < 3:
            np.save(tmp_path / "data" / "depth" / f"{number}.npy", rng.uniform(2, 9, (64, 96)))
    result = geopretrain.evaluate(run, tmp_path / "data", out=tmp_path)
    assert (result["images"], result["without_depth"]) == (3, 1)
    said = capsys.readouterr().out
    assert "3 of 4 pictures have measured depth; the others are not scored." in said
    assert "median depth" not in said
    for path in (tmp_path / "data" / "depth").iterdir():
        np.save(path, 300 * np.load(path))
    geopretrain.evaluate(run, tmp_path / "data", out=tmp_path, protocol="aligned-median")
    assert "looks like millimetres read as metres" in capsys.readouterr().out
    for path in (tmp_path / "data" / "depth").iterdir():
        np.save(path, 0 * np.load(path))
    with pytest.raises(DataError, match="None of 3 depth maps has a pixel that counts"):
        geopretrain.evaluate(run, tmp_path / "data", out=tmp_path)


def test_a_list_that_is_none(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("0000000002\n")
    with pytest.raises(DataError, match="line 1, must be such as"):
        read_list(path)
    path.write_text("drive_1 2 r\n")
    with pytest.raises(DataError, match="no frame of the left camera"):
        read_list(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_list(tmp_path / "none.txt")


def test_what_a_list_leaves_out_is_said(tmp_path, capsys):
    path = tmp_path / "list.txt"
    path.write_text("d/a 1 l\nd/a 01\nd/a 2 r\nd/a 3 r\n")
    assert read_list(path) == {("a", "1"): "d/a 1"}
    said = capsys.readouterr().out
    assert "2 frames are of the right camera and left out" in said
    assert "1 frame is listed before and left out" in said


def test_what_cannot_be_scored_is_said(run, store, tmp_path):
    with pytest.raises(ConfigError, match=r"only up to a factor.*--protocol aligned-median"):
        geopretrain.evaluate(run, store, protocol="metric", progress=False)
    with pytest.raises(ConfigError, match="data is missing"):
        geopretrain.evaluate(run, progress=False)
    with pytest.raises(ConfigError, match="which of its frames were held out"):
        geopretrain.evaluate(run, _pairs(tmp_path / "pairs"), frames="held_out", progress=False)
    images = tmp_path / "pairs" / "images"
    with pytest.raises(DataError, match="no measured depth"):
        geopretrain.evaluate(run, images, progress=False)


@pytest.fixture(scope="module")
def flow_run(store):
    return geopretrain.pretrain(
        "geometric_flow", data=store, out=store.parent / "flow", progress=False, **SMALL
    )


def test_flow_is_scored_on_pairs_beside_the_baseline_that_nothing_moves(flow_run, shared_data, tmp_path):
    pairs = shared_data / "flow" / "kitti"
    result = geopretrain.evaluate(flow_run, pairs, csv=True, out=tmp_path, progress=False)
    assert (result["protocol"], result["images"]) == ("flow-epe", 1)
    assert result["baselines"]["zero"]["epe"] > 1  # px, the car drives
    assert (tmp_path / "kitti-all-flow-epe.csv").is_file()


def test_flow_and_depth_are_not_mixed_up(flow_run, run, store):
    with pytest.raises(ConfigError, match="predicts flow"):
        geopretrain.evaluate(flow_run, store, protocol="dense-80-median", progress=False)
    with pytest.raises(ConfigError, match="predicts depth"):
        geopretrain.evaluate(run, store, protocol="flow-epe", progress=False)


def test_pictures_of_depth_are_refused_of_a_run_of_flow(flow_run, tmp_path):
    with pytest.raises(ConfigError, match="predicts flow"):
        geopretrain.evaluate(flow_run, tmp_path, pictures=2, out=tmp_path / "out", progress=False)


def test_pictures_of_flow_are_those_from_each_frame_to_the_next(flow_run, tmp_path):
    video = "synthetic:street?frames=5&seed=3"
    written = geopretrain.predict(flow_run, video, tmp_path, every=2, progress=False)
    assert [path.stem[-6:] for path in written] == ["000000", "000002"]  # frame 4 has none after it


def test_one_damaged_file_does_not_cost_the_others(run, tmp_path, capsys):
    folder, out = _pairs(tmp_path / "pairs"), tmp_path / "out"
    (folder / "depth" / "0.png").write_bytes((folder / "depth" / "0.png").read_bytes()[:60])
    (folder / "images" / "1.png").write_bytes((folder / "images" / "1.png").read_bytes()[:90])
    words = ["evaluate", str(run.path), str(folder), "--depth-unit", "256", "--out", str(out)]
    assert main(words) == 3
    said = capsys.readouterr().out
    assert "pairs/0: Depth map " in said
    assert "pairs/1: " in said
    (written,) = out.glob("*median.json")
    result = json.loads(written.read_text())
    assert result["images"] == 1
    assert ["pairs/0: " in sentence for sentence in result["left_out"]] == [True, False]
    (folder / "depth" / "2.png").write_bytes(b"")
    assert main(words) == 2
    assert json.loads(written.read_text()) == result


def test_damaged_truth_in_a_store_is_left_out_of_scores_and_baselines(run, store, tmp_path):
    copied = tmp_path / "street"
    shutil.copytree(store, copied)
    frames = FrameStore.open(copied).depth_frames()
    frame = next(frame for _, frame, held_out in frames if not held_out)
    (copied / "depth" / "000" / f"{frame:06d}.png").write_bytes(b"no picture")
    for kind, images in (("held_out", sum(held_out for *_, held_out in frames)), ("all", len(frames) - 1)):
        result = geopretrain.evaluate(run, copied, frames=kind, out=tmp_path / "out", progress=False)
        assert (result["images"], len(result["left_out"])) == (images, 1)
        assert set(result["baselines"]) == {"constant", "row_wise", "ground_ramp"}


def test_one_damaged_pair_of_flow_does_not_cost_the_others(flow_run, shared_data, tmp_path, capsys):
    pairs = tmp_path / "kitti"
    shutil.copytree(shared_data / "flow" / "kitti", pairs)
    for file in sorted(pairs.rglob("*_1?.*")):
        shutil.copy(file, file.with_name(file.name.replace("_1", "9_1")))
    (damaged, _) = sorted(pairs.rglob("flow_occ/*.png"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    words = ["evaluate", str(flow_run.path), str(pairs), "--out", str(tmp_path / "out")]
    assert main(words) == 3
    assert f"Left out: {damaged.stem}: " in capsys.readouterr().out
    (written,) = (tmp_path / "out").glob("*epe.json")
    result = json.loads(written.read_text())
    assert (result["images"], len(result["left_out"])) == (1, 1)


class Watched:
    """Frames of measured depth that know how many of them are in memory."""

    def __init__(self):
        self.alive, self.most, self.read = weakref.WeakSet(), 0, 0

    def depth(self, number):
        truth = np.random.default_rng(number).uniform(2, 9, (48, 80)).astype(np.float32).view(Kept)
        self.alive.add(truth)
        self.most, self.read = max(self.most, len(self.alive)), self.read + 1
        return truth

    def frames(self, numbers):
        image = np.full((48, 80, 3), 99, np.uint8)
        return [MeasuredFrame(f"{n}", lambda: image, partial(self.depth, n)) for n in numbers]


class Kept(np.ndarray):
    __hash__ = object.__hash__


@pytest.mark.parametrize("others", [0, 30])
def test_no_more_than_a_few_truths_are_in_memory_however_many_are_scored(run, others):
    watched, task = Watched(), load_task(run).eval()
    baselines_from = watched.frames(range(100, 100 + others))
    result = score_depth(task, watched.frames(range(40)), "dense", baselines_from=baselines_from, min_gap=3)
    assert watched.most <= 4
    assert (result["images"], result["baselines"]["constant"]["images"]) == (40, 40)
    truths = [np.asarray(watched.depth(n)) for n in range(40)]
    made_from = [np.asarray(watched.depth(n)) for n in range(100, 100 + others)]
    whole = baseline_errors(truths, "dense", min_gap=3, made_from=made_from)
    for name, errors in whole.items():
        assert result["baselines"][name] == {k: v for k, v in errors.items() if k != "per_image"}


def kitti_pairs(shared_data, tmp_path):
    pairs = tmp_path / "kitti"
    shutil.copytree(shared_data / "flow" / "kitti", pairs)
    for file in sorted(pairs.rglob("*_1?.*")):
        shutil.copy(file, file.with_name(file.name.replace("_1", "9_1")))
    return pairs


@pytest.mark.parametrize("image", ["missing", "damaged"])
def test_a_pair_of_flow_without_an_image_does_not_cost_the_others(
    flow_run, shared_data, tmp_path, capsys, image
):
    pairs = kitti_pairs(shared_data, tmp_path)
    lost = sorted(path for path in pairs.rglob("*9_11.*") if "flow" not in str(path.relative_to(pairs)))[0]
    lost.unlink() if image == "missing" else lost.write_bytes(b"no picture")
    words = ["evaluate", str(flow_run.path), str(pairs), "--out", str(tmp_path / "out")]
    assert main(words) == 3
    assert "Left out: " in capsys.readouterr().out
    (written,) = (tmp_path / "out").glob("*epe.json")
    result = json.loads(written.read_text())
    assert (result["images"], len(result["left_out"]), result["skipped"]) == (1, 1, 0)


def test_a_pair_without_a_pixel_of_known_flow_is_skipped_and_counted(flow_run, shared_data, tmp_path, capsys):
    pairs = kitti_pairs(shared_data, tmp_path)
    for kind in ("flow_occ", "flow_noc"):
        for file in pairs.rglob(f"{kind}/*9_10.png"):
            cv2.imwrite(str(file), 0 * cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
    result = geopretrain.evaluate(flow_run, pairs, out=tmp_path / "out")
    assert (result["images"], result["skipped"], result["left_out"]) == (1, 1, [])
    assert "1 pictures have no pixel that counts" in capsys.readouterr().out


def test_steadiness_is_scored_by_poses_and_by_flow(run, store, tmp_path):
    scored = partial(geopretrain.evaluate, run, out=tmp_path / "out", progress=False)
    by_pose = scored("synthetic:street?frames=5&height=64&width=96", protocol="temporal-pose", csv=True)
    assert by_pose["images"] == 4
    assert by_pose["tae"] > 0
    assert by_pose["alignment"] == "scaled by the median of each clip"
    assert by_pose["baselines"]["measured"]["tae"] < 0.1  # pixels are rounded, and things move
    assert "4 pairs of neighbouring frames" in table(by_pose)
    by_flow = scored(store, protocol="temporal-flow")
    assert by_flow["frames"] == "all"  # so short a store has no two neighbours that nobody trained on
    assert by_flow["flow_change"] > 0
    assert scored(store, protocol="temporal-flow", frames="in_sample")["images"] < by_flow["images"]


def test_what_steadiness_cannot_be_scored_on_is_said(run, store, tmp_path):
    scored = partial(geopretrain.evaluate, run, out=tmp_path / "out", progress=False)
    with pytest.raises(DataError, match="use --protocol temporal-flow"):
        scored(_pairs(tmp_path / "no poses"), protocol="temporal-pose")
    with pytest.raises(ConfigError, match="scores pairs"):
        scored(store, protocol="temporal-flow", pictures=2)
    with pytest.raises(DataError, match="no video to score"):
        scored(_pairs(tmp_path / "pairs"), protocol="temporal-flow")


def test_the_motion_of_the_camera_is_scored_and_says_whose_poses(run, store, tmp_path):
    scored = partial(geopretrain.evaluate, run, store, out=tmp_path / "out", progress=False)
    result = scored(protocol="pose", frames="all", csv=True)
    assert (result["poses"], result["unit"]) == ("of the data set", "m")
    assert result["baselines"]["straight_ahead"]["rotation"] < 5  # a car on a road
    text = table(result)
    assert "poses of the data set" in text
    assert "one factor for each snippet of five frames" in text
    assert "straight ahead" in text
    written = json.loads((tmp_path / "out" / "street-all-pose.json").read_text())
    assert written["rotation"] == pytest.approx(result["rotation"])
    rows = list(csv.DictReader((tmp_path / "out" / "street-all-pose.csv").open()))
    assert len(rows) == result["images"]
    with pytest.raises(ConfigError, match="scores the motion of the camera"):
        scored(protocol="pose", flip=True)


def test_sparse_points_are_scored_by_name(tmp_path, run, capsys):
    kitti = kitti_raw(tmp_path / "kitti_raw", {"2011_09_26_drive_0001_sync": 4})
    result = geopretrain.evaluate(run, kitti, protocol="points-median")
    assert (result["images"], result["frames"], set(result["baselines"])) == (4, "all", {"constant"})
    assert result["points"] == sum(row["pixels"] for row in result["per_image"])
    assert f"truth: {result['points']} sparse points, single LiDAR scans" in " ".join(
        capsys.readouterr().out.split()
    )
    assert (run.path / "evaluation" / "kitti_raw-all-points-median.json").is_file()
    with pytest.raises(ConfigError, match="is of depth maps; --protocol points-median scores points"):
        geopretrain.evaluate(run, kitti, protocol="points-median", pictures=2)
    with pytest.raises(ConfigError, match="Did you mean 'points-median'"):
        geopretrain.evaluate(run, kitti, protocol="points-medain")
