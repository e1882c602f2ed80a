"""Data sets in tiny, exactly as they are released: folders, names and formats of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (64, 96)


def picture(path: Path, number: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """Write a picture that no other number has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([number, 7]).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def grey(path: Path, values: np.ndarray, palette: np.ndarray | None = None) -> Path:
    """Write 8 or 16 bit values, as a palette picture where colours are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(values)
    if palette is not None:
        made.putpalette(palette.reshape(-1).tolist())
    made.save(path)
    return path


def halves(left: int, right: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return ids with one on the left half and another on the right one."""
    values = np.full(size, left, np.uint8)
    values[:, size[1] // 2 :] = right
    return values


def cityscapes(root: Path, counts: dict[str, int], *, depth: bool = True) -> Path:
    """Write pictures, labels (road on the left, car on the right), disparity and cameras."""
    number = 0
    for split, count in counts.items():
        for i in range(count):
            number += 1
            city = ("aachen", "bochum")[i % 2]
            stem = f"{city}_{i:06d}_000019"
            picture(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", number)
            where = root / "gtFine" / split / city
            grey(where / f"{stem}_gtFine_labelIds.png", halves(7, 26))
            grey(where / f"{stem}_gtFine_instanceIds.png", halves(7, 26).astype(np.uint16))
            if depth:
                disparity = np.full(SIZE, 256 * 20 + 1, np.uint16)
                disparity[0] = 0
                grey(root / "disparity" / split / city / f"{stem}_disparity.png", disparity)
                camera = {
                    "extrinsic": {"baseline": 0.2},
                    "intrinsic": {"fx": 2000.0, "fy": 2000.0, "u0": 48.0, "v0": 32.0},
                }
                file = root / "camera" / split / city / f"{stem}_camera.json"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(camera))
    return root


def kitti_semantics(root: Path, count: int) -> Path:
    """Write ``training/image_2`` and ``training/semantic``."""
    for i in range(count):
        picture(root / "training" / "image_2" / f"{i:06d}_10.png", i)
        grey(root / "training" / "semantic" / f"{i:06d}_10.png", halves(7, 21))
    picture(root / "testing" / "image_2" / "000000_10.png", 99)
    return root


def kitti_stereo(
    root: Path, count: int, focal: Callable[[int], float] = lambda i: 700, pictures: str = "image_"
) -> Path:
    """Write pairs, disparities (16-bit PNG, px x 256) and cameras with 0.5 m between them.

    Args:
        root: receives them.
        count: of pairs.
        focal: length of each, px.
        pictures: how their folders begin; ``image_`` is stereo 2015, ``colored_`` or ``grey`` stereo 2012.
    """
    folder, first = root / "training", 2 if pictures == "image_" else 0
    begin = "image_" if pictures == "grey" else pictures
    names = ("disp_occ", "calib", "P") if first == 0 else ("disp_occ_0", "calib_cam_to_cam", "P_rect_0")
    for i in range(count):
        for frame in ("10", "11"):
            for camera in (0, 1):
                place = folder / f"{begin}{camera + first}" / f"{i:06d}_{frame}.png"
                picture(place, 2 * i + int(frame) - 10 + 100 * camera)
        disparity = np.full(SIZE, 256 * 25, np.uint16)
        disparity[:8], disparity[8] = 0, 65535
        grey(folder / names[0] / f"{i:06d}_10.png", disparity)
        file = folder / names[1] / f"{i:06d}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        f = focal(i)
        rows = {first: 45.0, first + 1: 45.0 - 0.5 * f, 5: 7.0}
        file.write_text(
            "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.95e-02\n"
            + "".join(f"{names[2]}{k}: {f} 0 48 {x} 0 {f} 32 0 0 0 1 0\n" for k, x in rows.items())
        )
    return root


VOC_XML = """<annotation>
  <folder>VOC2012</folder><filename>{name}.jpg</filename>
  <source><database>The VOC2008 Database</database></source>
  <size><width>96</width><height>64</height><depth>3</depth></size>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object>
</annotation>"""


def voc(root: Path, palette: np.ndarray, train: int = 12, val: int = 4) -> Path:
    """Write ``VOCdevkit/VOC2012``: palette labels (background, dog, a border of 255), XML, and lists."""
    folder = root / "VOCdevkit" / "VOC2012"
    names = {"train": [f"2007_{i:06d}" for i in range(train)], "val": [f"2008_{i:06d}" for i in range(val)]}
    for number, name in enumerate([*names["train"], *names["val"]]):
        picture(folder / "JPEGImages" / f"{name}.jpg", number)
        ids = halves(0, 12)
        ids[:, 47] = 255
        grey(folder / "SegmentationClass" / f"{name}.png", ids, palette)
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / "Annotations" / f"{name}.xml").write_text(VOC_XML.format(name=name))
    for task in ("Segmentation", "Main"):
        lists = folder / "ImageSets" / task
        lists.mkdir(parents=True)
        for split, listed in names.items():
            (lists / f"{split}.txt").write_text("\n".join(listed) + "\n")
    return root


def sbd(root: Path, train: list[str], val: list[str]) -> Path:
    """Write ``benchmark_RELEASE/dataset``: pictures and MATLAB files (background, dog), and lists."""
    from scipy.io import savemat

    folder = root / "benchmark_RELEASE" / "dataset"
    for number, name in enumerate([*train, *val]):
        picture(folder / "img" / f"{name}.jpg", 500 + number)
        present = np.array([[12]], np.uint8)
        content = {
            "Segmentation": halves(0, 12),
            "Boundaries": np.zeros((1, 1)),
            "CategoriesPresent": present,
        }
        (folder / "cls").mkdir(exist_ok=True)
        savemat(folder / "cls" / f"{name}.mat", {"GTcls": content})
    for split, names in (("train", train), ("val", val)):
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


CAMVID_FRAMES = (
    *("0001TP_006690", "0001TP_008520", "0001TP_008550", "0006R0_f00930", "0016E5_00390", "0016E5_07959"),
    *("0016E5_08159", "0016E5_08190", "Seq05VD_f00000", "Seq05VD_f03300"),
)


def camvid(root: Path, colours: dict[str, tuple[int, int, int]], *, listed: bool = True) -> Path:
    """Write the original frames and labels: a lane marking, an SUV, and void."""
    for number, stem in enumerate(CAMVID_FRAMES):
        picture(root / "701_StillsRaw_full" / f"{stem}.png", number)
        pixels = np.zeros((*SIZE, 3), np.uint8)
        pixels[:, :48], pixels[:, 48:90] = colours["LaneMkgsDriv"], colours["SUVPickupTruck"]
        path = root / "LabeledApproved_full" / f"{stem}_L.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    if listed:
        lines = [f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in colours.items()]
        (root / "label_colors.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def bdd100k(root: Path, counts: dict[str, int]) -> Path:
    """Write class maps (ids that are learned) and boxes."""
    for split, count in counts.items():
        frames = []
        for i in range(count):
            name = f"{split}{i:04d}-a"
            picture(root / "images" / "10k" / split / f"{name}.jpg", 100 * len(split) + i)
            grey(root / "labels" / "sem_seg" / "masks" / split / f"{name}.png", halves(0, 13))
            picture(root / "images" / "100k" / split / f"{name}.jpg", 100 * len(split) + i)
            boxes = [
                {"category": "car", "box2d": {"x1": 10.0, "y1": 20.0, "x2": 39.0, "y2": 29.0}},
                {"category": "other vehicle", "box2d": {"x1": 0.0, "y1": 0.0, "x2": 5.0, "y2": 5.0}},
            ]
            frames.append({"name": f"{name}.jpg", "attributes": {}, "timestamp": 10000, "labels": boxes})
        file = root / "labels" / "det_20" / f"det_{split}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(frames))
    return root


def nyu(root: Path, count: int = 12, *, mapping: bool = True, splits: bool = True) -> Path:
    """Write ``nyu_depth_v2_labeled.mat`` as MATLAB 7.3 does, axes reversed: a wall, a bed below row 32."""
    import h5py
    from scipy.io import savemat

    height, width = SIZE
    root.mkdir(parents=True, exist_ok=True)
    images = np.stack([np.random.default_rng(i).integers(0, 255, (*SIZE, 3)) for i in range(count)])
    labels = np.full((count, height, width), 21, np.uint16)
    labels[:, 32:], labels[:, 0] = 157, 0
    depths = np.full((count, height, width), 2.5, np.float32)
    depths[:, :, :10] = 4
    raw = depths.copy()
    raw[:, 5] = 0
    file = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(file, "w", userblock_size=512) as content:
        content["images"] = images.astype(np.uint8).transpose(0, 3, 2, 1)
        for name, values in (("labels", labels), ("depths", depths), ("rawDepths", raw)):
            content[name] = values.transpose(0, 2, 1)
    if splits:
        train, test = np.arange(1, count + 1)[::2, None], np.arange(2, count + 1)[::2, None]
        savemat(root / "splits.mat", {"trainNdxs": train, "testNdxs": test})
    if mapping:
        numbers, names = np.full((1, 894), 40), np.empty((1, 40), object)
        numbers[0, 21 - 1], numbers[0, 157 - 1] = 1, 4
        names[0] = [f"class{k}" for k in range(1, 41)]
        names[0, 0], names[0, 3] = "wall", "bed"
        savemat(root / "classMapping40.mat", {"mapClass": numbers, "className": names})
    return root


def ibims(root: Path, names: tuple[str, ...] = ("corridor_01", "office_02")) -> Path:
    """Write ``ibims1_core_mat`` as its files are: plane 1 of the floor, and glass that is masked."""
    from scipy.io import savemat

    folder = root / "ibims1_core_mat"
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        floor, clear, edges = np.zeros(SIZE, np.uint8), np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        floor[40:], clear[:, :5], edges[40] = 1, 0, 1
        data = {
            "rgb": np.random.default_rng(number).integers(0, 255, (*SIZE, 3)).astype(np.uint8),
            "depth": np.full(SIZE, 3.0),
            "calib": np.array([[500.0, 0, 0], [0, 510, 0], [49, 33, 1]]),  # transposed
            "edges": edges,
            "mask_transp": clear,
            "mask_invalid": np.ones(SIZE, np.uint8),
            "mask_floor": floor,
            "mask_floor_paras": np.array([[1, 0, 0, 0, 0.0, 0.0, 1.0, 1]]),  # the normal is up
            "mask_wall": np.zeros(SIZE, np.uint8),
            "mask_wall_paras": np.zeros((0, 8)),
        }
        savemat(folder / f"{name}.mat", {"data": data})
    (root / "imagelist.txt").write_text("\n".join(names) + "\n")
    return root


def coco_stuff(root: Path, counts: dict[str, int]) -> Path:
    """Write class maps of pixels: person (0), a stuff class (181), nothing (255) on top."""
    for split, count in counts.items():
        for i in range(count):
            picture(root / f"{split}2017" / f"{i:012d}.jpg", i + 100 * len(split))
            ids = halves(0, 181)
            ids[:4] = 255
            grey(root / "stuffthingmaps" / f"{split}2017" / f"{i:012d}.png", ids)
    (root / "labels.txt").write_text("0: unlabeled\n1: person\n182: wood\n")
    return root


def kitti_raw(root: Path, drives: dict[str, int], *, scans: bool = True) -> Path:
    """Write drives of a moving picture, cameras, and scans: a wall of points at 10 m plus 0.5 m a frame."""
    wide = (
        np.random.default_rng(5)
        .integers(0, 255, (SIZE[0] // 4, 200, 3), dtype=np.uint8)
        .repeat(4, 0)
        .repeat(4, 1)
    )
    for drive, count in drives.items():
        day = root / drive[:10]
        for i in range(count):
            file = day / drive / "image_02" / "data" / f"{i:010d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(wide[:, 3 * i : 3 * i + SIZE[1]]).save(file)
            if scans:
                scan = day / drive / "velodyne_points" / "data" / f"{i:010d}.bin"
                scan.parent.mkdir(parents=True, exist_ok=True)
                ahead = 10 + 0.5 * i
                y, z = np.meshgrid(np.linspace(-4, 4, 40), np.linspace(-2, 2, 30))
                points = np.stack([np.full_like(y, ahead), y, z, np.zeros_like(y)], -1)
                points.reshape(-1, 4).astype(np.float32).tofile(scan)
        (day / "calib_cam_to_cam.txt").write_text(
            "calib_time: 09-Jan-2012 13:57:47\nS_rect_02: 96 64\nR_rect_00: 1 0 0 0 1 0 0 0 1\n"
            "P_rect_02: 100 0 48 0 0 100 32 0 0 0 1 0\nP_rect_03: 100 0 48 -54 0 100 32 0 0 0 1 0\n"
        )
        (day / "calib_velo_to_cam.txt").write_text(
            "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.27\n"
        )
    return root


def kitti_improved(root: Path, split: str, drive: str, frames: list[int], metres: float = 20.0) -> Path:
    """Write accumulated scans as ``data_depth_annotated.zip`` holds them: without pictures."""
    for i in frames:
        values = np.full(SIZE, round(256 * metres), np.uint16)
        grey(root / split / drive / "proj_depth" / "groundtruth" / "image_02" / f"{i:010d}.png", values)
    return root


def nyu_raw(
    folder: Path, pictures: list[tuple[float, np.ndarray]], depths: list[tuple[float, np.ndarray]]
) -> Path:
    """Write a raw scene: pictures ``480 640 3`` and values of depth (low byte first) at some times, s."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (time, image) in enumerate(pictures):
        Image.fromarray(image).save(folder / f"r-{1294886360 + time:.6f}-{3118787619 + number}.ppm")
    for number, (time, values) in enumerate(depths):
        header = b"P5\n640 480\n65535\n"
        file = folder / f"d-{1294886360 + time:.6f}-{2996770081 + number}.pgm"
        file.write_bytes(header + values.astype("<u2").tobytes())
    (folder / "a-1294886360.100000-1.dump").write_bytes(bytes(16))
    (folder / "INDEX.txt").write_text("")
    return folder
