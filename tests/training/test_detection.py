"""``finetune detection`` from the command line: what it leaves, how it goes on, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fake_tasks import Crash
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.config.options import FinetuneDetectionOptions
from geopretrain.tasks.transfer.detection import Detection
from geopretrain.training.detection import detection_training

WORLD = "synthetic:street?train=4&val=2&test=2"
SMALL = [
    "--size",
    "64x96",
    "--preset",
    "tiny",
    "--steps",
    "4",
    "--curve-points",
    "2,4",
    "--precision",
    "fp32",
    "--device",
    "cpu",
]
HEADS = ["--settings", "channels=8", "regions=8", "anchor=8"]


def finetune(out, *words, data=WORLD, heads=HEADS):
    return cli.main(["finetune", "detection", "--data", str(data), "--out", str(out), *SMALL, *heads, *words])


def without_timing(run):
    return [{k: v for k, v in record.items() if k != "timing"} for record in gp.RunFolder.open(run).metrics()]


def test_a_run_leaves_scores_pictures_weights_and_where_they_come_from(tmp_path, capsys):
    assert finetune(tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "objects in 4 training images" in said
    assert "mAP of boxes" in said
    run = gp.RunFolder.open(tmp_path / "run")
    results = run.results
    assert results["task"] == "detection"
    assert [point["step"] for point in results["curve"]] == [2, 4]
    assert set(results["curve"][0]) == {
        "step", "box_map", "box_map_50", "box_map_75", "mask_map", "mask_map_50", "mask_map_75"
    }  # fmt: skip
    assert "COCO's average precision" in results["protocol"]
    assert "over all 2 images of 'test' at 64x96 px" in results["protocol"]
    assert set(results["box_ap"]) == set(run.lineage["classes"]["names"])
    assert run.lineage["task"]["channels"] == 8
    assert run.lineage["method"] == "detection"
    assert len(list(run.figures.glob("sample_*.png"))) == 2 * 2
    assert json.loads((run.path / "subset.json").read_text())["names"]
    again = gp.evaluate(run, WORLD, progress=False)
    assert {name: again[name] for name in ("protocol", "box_map", "mask_map", "box_ap")} == {
        name: results[name] for name in ("protocol", "box_map", "mask_map", "box_ap")
    }
    assert list((run.path / "evaluation").glob("*-test-detection.json"))
    with pytest.raises(gp.UserError, match="is for runs that predict depth or flow"):
        gp.evaluate(run, WORLD, protocol="dense-80", progress=False)
    with pytest.raises(gp.UserError, match="Use --format safetensors for the whole network"):
        gp.export(run, format="onnx", out=tmp_path / "model.onnx", progress=False)
    assert gp.export(run, format="safetensors", out=tmp_path / "whole", progress=False).is_file()
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "black.png")
    assert [path.name for path in gp.predict(run, tmp_path / "black.png", out=tmp_path / "seen")] == [
        "black.png"
    ]
    model = gp.load(run)
    found = model.predict(np.zeros((50, 70, 3), np.uint8))
    assert found.masks[0].shape == (len(found.boxes[0]), 50, 70)


def test_a_resumed_run_ends_as_one_without_interruption(tmp_path, monkeypatch):
    assert finetune(tmp_path / "whole", "--checkpoint-every", "1") == 0
    loss = Detection.loss

    def crashing(self, batch, step):
        if step.index == 3:
            raise Crash
        return loss(self, batch, step)

    monkeypatch.setattr(Detection, "loss", crashing)
    with pytest.raises(Crash):
        finetune(tmp_path / "broken", "--checkpoint-every", "1")
    monkeypatch.setattr(Detection, "loss", loss)
    assert cli.main(["finetune", "detection", "--resume", str(tmp_path / "broken")]) == 0
    whole, broken = (tmp_path / name / "model.safetensors" for name in ("whole", "broken"))
    assert whole.read_bytes() == broken.read_bytes()
    assert without_timing(tmp_path / "whole") == without_timing(tmp_path / "broken")


def test_settings_of_a_preset_are_kept_and_a_run_that_had_none_goes_on_without(tmp_path):
    words = ["--preset", "short", "--steps", "2", "--curve-points", "1", "--checkpoint-every", "1"]
    assert finetune(tmp_path / "run", *words) == 0
    run = gp.RunFolder.open(tmp_path / "run")
    assert (run.lineage["task"]["zoom"], run.lineage["task"]["jitter"]) == ([0.8, 1.25], 0.4)
    assert run.config["settings"]["zoom"] == "0.8,1.25"
    options = FinetuneDetectionOptions(out=str(run.path), data=WORLD, resume=True, preset="short")
    training = detection_training(replace(options, settings={"channels": 8}, size=(64, 96)))
    assert training.task.config.zoom is None  # as versions began that had no settings in their presets
    assert training.config["settings"] == {"channels": 8}


def test_images_that_chose_the_weights_are_told_from_others(tmp_path, caplog):
    words = ["--evaluate-on", "val", "--monitor", "validation/box_map", "--keep", "best"]
    assert finetune(tmp_path / "run", *words) == 0
    selection = gp.RunFolder.open(tmp_path / "run").results["selection"]
    assert "weights were chosen by the very images that are scored (val)" in selection
    assert "--split test" in selection
    assert selection in caplog.text


def coco(root, annotations, categories=({"id": 7, "name": "car"}, {"id": 90, "name": "dog"}), count=6):
    """Write a set in COCO's form whose category ids have gaps: pictures with the annotations of each."""
    root.mkdir(parents=True)
    images, rows = [], []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 64})
        rows += [{"id": len(rows), "image_id": number, "iscrowd": 0, **one} for one in annotations(number)]
    content = {"images": images, "annotations": rows, "categories": list(categories)}
    (root / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def box(x, y, w, h, category=7, **more):
    return {"category_id": category, "bbox": [x, y, w, h], "area": w * h, **more}


def test_boxes_without_masks_gaps_in_ids_and_images_without_objects_are_learned_from(tmp_path):
    data = coco(tmp_path / "data", lambda n: [] if n == 1 else [box(10, 8, 30, 20), box(50, 20, 30, 30, 90)])
    assert finetune(tmp_path / "run", "--steps", "2", "--curve-points", "1", data=data) == 0
    run = gp.RunFolder.open(tmp_path / "run")
    assert run.lineage["task"]["masks"] is False
    assert run.lineage["classes"]["names"] == ["car", "dog"]
    assert set(run.results["box_ap"]) == {"car", "dog"}
    assert "mask_map" not in run.results


@pytest.mark.parametrize(
    ("annotations", "words", "said"),
    [
        (lambda n: [], [], "object"),
        (lambda n: [box(10, 8, 30, 20)], ["masks=true"], "holds no masks"),
        (lambda n: [box(200, 8, 30, 20)], [], "no area in their image"),
        (lambda n: [box(10, 8, 30, 20)], ["regoins=3"], "Did you mean 'regions'"),
    ],
)
def test_what_cannot_be_learned_is_said_and_leaves_nothing(tmp_path, capsys, annotations, words, said):
    data = coco(tmp_path / "data", annotations)
    assert finetune(tmp_path / "run", data=data, heads=[*HEADS, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_class_maps_alone_are_no_objects(tmp_path, capsys):
    for split in ("images", "labels"):
        (tmp_path / "data" / split).mkdir(parents=True)
    for number in range(4):
        labels = np.zeros((64, 96), np.uint8)
        labels[20:40, 30:60] = 1
        Image.fromarray(labels * 100 + number).save(tmp_path / "data" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "data" / "labels" / f"{number}.png")
    (tmp_path / "data" / "classes.txt").write_text("road\ncar\n")
    assert finetune(tmp_path / "run", data=tmp_path / "data") == 2
    assert "holds no boxes of objects" in capsys.readouterr().err


def test_without_the_library_of_scores_it_is_said_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    assert finetune(tmp_path / "run") == 2
    assert "pip install 'geopretrain[detection]'" in capsys.readouterr().err
