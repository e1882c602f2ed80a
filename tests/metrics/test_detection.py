"""Average precision by hand, and against COCO's own code."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch

from geopretrain.metrics.detection import DetectionScore

SIZE = (60, 80)


def objects(boxes, labels, scores=None, masks=False, crowd=None):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    found = {"boxes": boxes, "labels": torch.tensor(labels, dtype=torch.int64)}
    if scores is not None:
        found["scores"] = torch.tensor(scores, dtype=torch.float32)
    if crowd is not None:
        found["crowd"] = torch.tensor(crowd)
    if masks:
        found["masks"] = (
            torch.stack([painted(box) for box in boxes.tolist()])
            if len(boxes)
            else torch.zeros(0, *SIZE, dtype=torch.bool)
        )
    return found


def painted(box):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    x0, y0, x1, y1 = (round(side) for side in box)
    mask[y0:y1, x0 : max(x0 + 1, x1 - (x1 - x0) // 4)] = True
    return mask


def score(found, true, classes=2, masks=False):
    accumulator = DetectionScore(classes, masks=masks)
    for one, other in zip(found, true, strict=True):
        accumulator.update([one], [other])
    return accumulator.compute()


def test_perfect_boxes_score_one_and_absent_classes_none():
    true = [objects([[2, 3, 20, 30], [40, 10, 60, 50]], [0, 0])]
    found = [objects([[40, 10, 60, 50], [2, 3, 20, 30]], [0, 0], [0.6, 0.9])]
    result = score(found, true)
    assert result["box_map"] == result["box_map_50"] == result["box_map_75"] == 1.0
    assert result["box_map_per_class"] == [1.0, None]


def test_precision_at_recalls_by_hand():
    # of two true boxes the second finding is one and the first is none: precision 1/2 up to recall 1/2
    true = [objects([[0, 0, 20, 20], [40, 30, 60, 50]], [0, 0])]
    found = [objects([[60, 0, 80, 20], [0, 0, 20, 20]], [0, 0], [0.9, 0.8])]
    assert score(found, true)["box_map_50"] == pytest.approx(0.5 * 51 / 101)
    # IoU 0.6: right at the thresholds 0.5, 0.55 and 0.6 of ten
    found = [objects([[0, 0, 20, 12], [40, 30, 60, 50]], [0, 0], [0.7, 0.9])]
    result = score(found, true)
    assert result["box_map_50"] == 1.0
    assert result["box_map_75"] == pytest.approx(51 / 101)
    assert result["box_map"] == pytest.approx((3 + 7 * 51 / 101) / 10)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong():
    true = [objects([[0, 0, 20, 20], [40, 0, 80, 60]], [0, 0], crowd=[False, True])]
    found = [objects([[42, 5, 60, 30], [0, 0, 20, 20]], [0, 0], [0.9, 0.8])]
    assert score(found, true)["box_map"] == 1.0
    counted = [{**true[0], "crowd": torch.tensor([False, False])}]
    assert score(found, counted)["box_map"] < 0.6


@pytest.mark.parametrize("masks", [False, True])
def test_nothing_found_and_nothing_there(masks):
    none, empty = objects([], [], [], masks), objects([], [], masks=masks)
    some = objects([[2, 3, 20, 30]], [1], masks=masks)
    assert score([none], [some], masks=masks)["box_map"] == 0.0
    result = score([objects([[2, 3, 20, 30]], [1], [0.5], masks)], [empty], masks=masks)
    assert result["box_map"] is None
    assert result["box_map_per_class"] == [None, None]
    assert score([], [], masks=masks)["box_map_50"] is None


def invented(count=12, classes=4, seed=0):
    """Return true objects of images, some without any, and findings of every quality."""
    random, found, true = np.random.default_rng(seed), [], []
    for _ in range(count):
        number = int(random.integers(0, 7))
        corner = random.uniform(0, 45, (number, 2))
        boxes = np.concatenate([corner, corner + random.uniform(3, 15, (number, 2))], 1)
        labels = random.integers(0, classes - 1, number)
        crowd = random.random(number) < 0.1
        true.append(objects(boxes.round().tolist(), labels.tolist(), masks=True, crowd=crowd.tolist()))
        kept = random.random(number) < 0.8
        more = random.uniform(0, 45, (3, 2))
        moved = np.concatenate(
            [boxes[kept] + random.normal(0, 1.2, (int(kept.sum()), 4)), np.concatenate([more, more + 9], 1)]
        )
        moved = np.concatenate([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2] + 1)], 1).clip(0, 60)
        of = np.concatenate([labels[kept], random.integers(0, classes, 3)])
        found.append(
            objects(moved.round(1).tolist(), of.tolist(), random.random(len(of)).tolist(), masks=True)
        )
    return found, true


def by_pycocotools(found, true, kind):
    """Return mAP, mAP at 0.5 and at 0.75 by COCO's code, over lists of its own form."""
    from pycocotools import mask as runs
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def listed(images, scored):
        rows = []
        for number, image in enumerate(images):
            for i, (x0, y0, x1, y1) in enumerate(image["boxes"].tolist()):
                row = {"id": len(rows) + 1, "image_id": number, "category_id": int(image["labels"][i]) + 1}
                row["bbox"] = [x0, y0, x1 - x0, y1 - y0]
                row["segmentation"] = runs.encode(
                    np.asfortranarray(image["masks"][i].numpy().astype(np.uint8))
                )
                inside = float(image["masks"][i].sum())
                row["area"] = inside if kind == "segm" else row["bbox"][2] * row["bbox"][3]
                row |= {"score": float(image["scores"][i])} if scored else {"iscrowd": int(image["crowd"][i])}
                rows.append(row)
        return rows

    images = [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(len(true))]
    categories = [{"id": c + 1} for c in range(4)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": listed(true, False)}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(listed(found, True)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3].tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numbers_are_those_of_cocos_own_code(seed):
    found, true = invented(seed=seed)
    result = score(found, true, classes=4, masks=True)
    for kind, ours in (("bbox", "box"), ("segm", "mask")):
        numbers = [result[f"{ours}_{name}"] for name in ("map", "map_50", "map_75")]
        assert np.float32(numbers).tolist() == np.float32(by_pycocotools(found, true, kind)).tolist()
        assert 0.05 < numbers[0] < 0.95
    assert result["box_map_per_class"][3] is None


def half(side, start=0, width=20):
    """Return a mask of the left or right half of a square of 20 px, moved by ``start`` px."""
    mask, left = torch.zeros(SIZE, dtype=torch.bool), start + (0 if side == "left" else 10)
    mask[:20, left : left + width // 2] = True
    return mask


def test_masks_are_compared_by_their_pixels_and_not_by_their_boxes():
    square = [0.0, 0.0, 20.0, 20.0]
    true = [{**objects([square, square], [0, 0]), "masks": torch.stack([half("left"), half("right")])}]
    found = [objects([square, square], [0, 0], [0.9, 0.8])]
    found[0]["masks"] = torch.stack([half("right"), half("left")])
    assert score(found, true, masks=True)["mask_map"] == 1.0  # each has its own half, in another order
    found[0]["masks"] = torch.stack([half("left"), half("left")])  # the second one is nobody's
    result = score(found, true, masks=True)
    assert result["box_map"] == 1.0
    assert result["mask_map"] == pytest.approx(51 / 101)
    # 2 px to the right: 160 of 240 px in common, so right at 0.5, 0.55, 0.6 and 0.65 of ten thresholds
    found[0]["masks"] = torch.stack([half("left", 2), half("right", 2)])
    result = score(found, true, masks=True)
    assert (result["mask_map_50"], result["mask_map_75"]) == (1.0, 0.0)
    assert result["mask_map"] == pytest.approx(0.4)


def average_precision(found, true, label, threshold):
    """Return AP of masks written down from its definition: greedy by score, 101 recalls; or None."""
    rows, wanted = [], 0
    for image, (ours, theirs) in enumerate(zip(found, true, strict=True)):
        chosen = [i for i in range(len(ours["labels"])) if int(ours["labels"][i]) == label]
        chosen.sort(key=lambda i, ours=ours: -float(ours["scores"][i]))
        there = [k for k in range(len(theirs["labels"])) if int(theirs["labels"][k]) == label]
        wanted += sum(not bool(theirs["crowd"][k]) for k in there)
        taken = set()
        for i in chosen[:100]:
            mask, best, crowd = ours["masks"][i], None, False
            for k in there:
                shared = int((mask & theirs["masks"][k]).sum())
                if theirs["crowd"][k]:
                    crowd |= shared / max(1, int(mask.sum())) >= threshold
                    continue
                overlap = shared / max(1, int((mask | theirs["masks"][k]).sum()))
                if k not in taken and overlap >= threshold and (best is None or overlap >= best[0]):
                    best = (overlap, k)
            if best is not None:
                taken.add(best[1])
            if best is not None or not crowd:
                rows.append((float(ours["scores"][i]), image, best is not None))
    if not wanted:
        return None
    right = np.cumsum([hit for *_, hit in sorted(rows, key=lambda row: -row[0])])
    precision = right / np.arange(1, len(right) + 1)
    recalls = right / wanted
    return np.mean([max(precision[recalls >= one - 1e-12], default=0.0) for one in np.linspace(0, 1, 101)])


@pytest.mark.parametrize("seed", [3, 4])
def test_numbers_of_masks_are_those_of_the_definition(seed):
    found, true = invented(seed=seed)
    thresholds = np.linspace(0.5, 0.95, 10)
    table = [[average_precision(found, true, label, one) for one in thresholds] for label in range(4)]
    known = np.array([row for row in table if row[0] is not None])
    result = score(found, true, classes=4, masks=True)
    assert 0.05 < known.mean() < 0.95
    assert result["mask_map"] == pytest.approx(known.mean(), abs=1e-6)
    assert result["mask_map_50"] == pytest.approx(known[:, 0].mean(), abs=1e-6)
    assert result["mask_map_75"] == pytest.approx(known[:, 5].mean(), abs=1e-6)
    each = [None if row[0] is None else pytest.approx(np.mean(row), abs=1e-6) for row in table]
    assert result["mask_map_per_class"] == each
