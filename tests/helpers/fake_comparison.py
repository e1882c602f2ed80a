"""A comparison with invented numbers, complete enough for every section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geopretrain.files import write_picture
from geopretrain.pictures import class_palette, colour_depth, colour_labels
from geopretrain.study.comparison import Comparison
from geopretrain.study.sentences import cautions, headline, sentences
from geopretrain.study.summary import per_class, row_as_dict, summarise

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian"]
INITS = ["random", "depth"]
MODES = ["full", "frozen"]


def fake_trials(seeds=5, points=(50, 100, 150, 200, 250, 300), inits=INITS):
    gains = {
        "random": (0.0, 0.0),
        "depth": (0.05, 0.012),
        "imagenet": (0.09, 0.06),
        "imagenet-depth": (0.2, 0.2),
    }
    trials = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        level = rng.normal(0, 0.015)
        for mode in MODES:
            for init in inits:
                early, late = gains[init] if mode == "full" else (gains[init][0], gains[init][0])
                curve = []
                for point in points:
                    share = point / max(points)
                    gain = early * (1 - share) + late * share + rng.normal(0, 0.012)
                    miou = 0.05 + (0.24 if mode == "full" else 0.17) * share**0.6 + gain + level
                    curve.append({"step": point, "miou": miou, "pixel_accuracy": 0.4 + miou})
                weights = np.array([2.6, 1.9, 0.1, 2.4, 1.0, 0.9, 0.1, 0.2, 0.8, 0.0])
                iou = [float(v) for v in np.clip(weights * curve[-1]["miou"] + rng.normal(0, 0.01, 10), 0, 1)]
                trials.append(
                    {
                        "init": init,
                        "mode": mode,
                        "seed": seed,
                        "lr": 1e-3,
                        "curve": curve,
                        "miou": curve[-1]["miou"],
                        "pixel_accuracy": curve[-1]["pixel_accuracy"],
                        "per_image_miou": 0.3,
                        "iou": iou,
                        "seconds": 61.0,
                        "run": f"trials/{init}-{mode}-seed{seed}",
                    }
                )
    return trials


def fake_pictures(folder, colours, inits=INITS, count=3):
    shown = []
    rows, columns = np.mgrid[0:96, 0:128]
    for k in range(count):
        rng = np.random.default_rng(k)
        labels = np.where(rows < 30 + 4 * k, 0, np.where(rows < 60 + 10 * np.sin(columns / 20 + k), 1, 3))
        image = (colours[labels] * 0.6 + rng.integers(0, 90, (96, 128, 1))).astype(np.uint8)

        def put(name, picture, k=k):
            write_picture(folder / "figures" / f"test{k}-{name}.png", picture)
            return f"figures/test{k}-{name}.png"

        noisy = {i: np.where(rng.random((96, 128)) < 0.2 / (n + 1), 5, labels) for n, i in enumerate(inits)}
        shown.append(
            {
                "name": f"test/{k:03d}.png",
                "image": put("image", image),
                "truth": put("truth", colour_labels(labels, colours)),
                "predictions": {
                    m: {i: put(f"{m}-{i}", colour_labels(noisy[i], colours)) for i in inits} for m in MODES
                },
                "depth": {"depth": put("depth", colour_depth(1.0 / (140 - rows + columns / 20)))},
            }
        )
    return shown


def errors(abs_rel, rmse, a1):
    return {
        "abs_rel": abs_rel,
        "rmse": rmse,
        "a1": a1,
        "protocol": "kitti-eigen-garg-80-median",
        "images": 53,
    }


def fake_comparison(folder, seeds=5, inits=INITS, search=True):
    trials = fake_trials(seeds, inits=inits)
    colours = class_palette(len(CLASSES))
    rows = summarise(trials, inits, MODES)
    rates = [1e-4, 5e-4, 1e-3]
    depth = {
        "held_out": {
            **errors(0.299, 7.97, 0.467),
            "baselines": {"constant": errors(0.352, 9.15, 0.401), "row_wise": errors(0.340, 8.54, 0.404)},
        }
    }
    described = [
        {
            "name": init,
            "source": init,
            "kind": "run" if init == "depth" else init,
            "description": "monodepth pre-trained on kitti_raw" if init == "depth" else f"{init} numbers",
            "method": "monodepth" if init == "depth" else None,
            "chain": [{"init": "random", "kind": "random"}] if init == "depth" else [],
            "weights": "",
            "settings": {"method": "monodepth", "steps": 1500, "batch_size": 8, "lr": 3e-4}
            if init == "depth"
            else {},
            "depth": depth if init == "depth" else {},
        }
        for init in inits
    ]
    searched = [
        {
            "mode": mode,
            "init": init,
            "chosen": 1e-3,
            "at_end": "highest",
            "rates": [
                {"lr": lr, "values": [0.27 + 40 * lr] * 2, "mean": 0.27 + (60 + 9 * n) * lr, "sd": 0.0}
                for lr in rates
            ],
        }
        for mode in MODES
        for n, init in enumerate(inits)
    ]
    results = {
        "format": 1,
        "headline": headline(rows, 16),
        "sentences": sentences(rows),
        "cautions": cautions(rows),
        "inits": described,
        "modes": MODES,
        "classes": {"names": CLASSES, "colours": colours.tolist()},
        "summary": [row_as_dict(row) for row in rows],
        "per_class": per_class(trials),
        "learning_rates": searched if search else [],
        "trials": trials,
        "failures": [],
        "pictures": fake_pictures(folder, colours, inits),
        "protocol": {
            "created": "2026-01-02T03:04:05+00:00",
            "data": "data/camvid",
            "data_description": "CamVid: 367 train, 101 val, 173 test images, 11 classes, 160x128",
            "splits": {"train": 367, "val": 101, "test": 173},
            "labels": 16,
            "subset_seed": 0,
            "subset": [f"train/{k:03d}.png" for k in range(16)],
            "size": "128x160",
            "backbone": "resnet18",
            "preset": "short",
            "steps": 300,
            "batch_size": 8,
            "schedule": "cosine",
            "warmup_steps": 20,
            "precision": "bf16",
            "learning_rates": rates if search else [1e-3],
            "seeds": list(range(seeds)),
            "search_seeds": [1000, 1001] if search else [],
            "curve": [50, 100, 150, 200, 250, 300],
            "score": "mIoU and pixel accuracy from one confusion matrix over all test images",
            "training_seconds": 1220.0,
            "device": "cpu",
            "hardware": "2 CPU cores",
            "versions": {"python": "3.11", "geopretrain": "0.1.0", "torch": "2.15.0"},
            "command": "geopretrain compare --inits random,runs/depth --data data/camvid --out runs/cmp",
        },
    }
    comparison = Comparison(folder, results)
    comparison.save()
    return Comparison.open(folder)


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return results in which names are others, wherever they stand whole."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [renamed(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value
