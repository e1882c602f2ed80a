"""Pictures of a known plane through a lens that bends, and files of cameras in the formats of others."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np

SIZE = (240, 320)
FOCAL, CENTRE = 170.0, (161.5, 117.25)
"""px, pixel centres at whole numbers."""
BROWN = (-0.25, 0.07, 0.001, -0.0015, 0.0)
FISHEYE = (0.05, -0.02, 0.01, -0.003)
MATRIX = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])


def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the ray (x, y, 1) sees, ``... 3`` uint8: smooth, and different wherever one looks."""
    waves = (np.sin(9 * x + 2 * y), np.cos(8 * y - 3 * x), np.sin(5 * (x + y)))
    return np.uint8(np.round(127.5 + 110 * np.stack(waves, axis=-1)))


def bent(x, y, coefficients, fisheye):
    """The formulas of the two lenses, written a second time."""
    if fisheye:
        radius = np.hypot(x, y) + 1e-12
        t = np.arctan(radius)
        k1, k2, k3, k4 = coefficients
        scale = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8) / radius
        return x * scale, y * scale
    k1, k2, p1, p2, k3 = coefficients
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def rays(matrix: np.ndarray, size=SIZE, coefficients=None, fisheye=False):
    """The rays of all pixels: the bend is undone by iteration."""
    v, u = np.indices(size, dtype=np.float64)
    wanted = (u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]
    x, y = np.array(wanted[0]), np.array(wanted[1])
    for _ in range(300 if coefficients else 0):
        there = bent(x, y, coefficients, fisheye)
        x, y = x + 0.5 * (wanted[0] - there[0]), y + 0.5 * (wanted[1] - there[1])
    return x, y


def picture(coefficients=None, fisheye=False, matrix=MATRIX, size=SIZE) -> np.ndarray:
    """The plane as a camera sees it."""
    return plane(*rays(matrix, size, coefficients, fisheye))


def dots(places: np.ndarray, size=SIZE) -> np.ndarray:
    """White spots on black at ``N 2`` px, ``H W 3`` uint8."""
    v, u = np.indices(size, dtype=np.float64)
    light = np.zeros(size)
    for x, y in places:
        light += np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.5**2))
    return np.uint8(np.repeat(np.round(255 * light.clip(0, 1))[..., None], 3, axis=2))


def found_dots(image: np.ndarray, places: np.ndarray, reach: int = 8) -> np.ndarray:
    """The centres of gravity of the light near ``N 2`` px."""
    centres = []
    for x, y in np.round(places).astype(int):
        part = image[y - reach : y + reach + 1, x - reach : x + reach + 1].mean(2)
        v, u = np.indices(part.shape) - reach
        weight = np.where(part > 40, part, 0.0)
        centres.append((x + (weight * u).sum() / weight.sum(), y + (weight * v).sum() / weight.sum()))
    return np.array(centres)


def write_pictures(folder: Path, count=3, **camera) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"frame_{i + 1:05d}.png"), picture(**camera)[..., ::-1])
    return folder


def gl_pose(index: int) -> np.ndarray:
    """Camera to world with y up, z backward: the camera moves forward, along -z."""
    pose = np.eye(4)
    pose[:3, 3] = 0.1 * index, 0.2, -0.5 * index
    return pose


def transforms(folder: Path, count=3, per_frame=False, **more) -> Path:
    """A ``transforms.json``; pixels count from the corner of the first one."""
    camera = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": CENTRE[0] + 0.5, "cy": CENTRE[1] + 0.5, "w": 320, "h": 240}
    camera |= more
    frames = [
        {"file_path": f"./images/frame_{i + 1:05d}.png", "transform_matrix": gl_pose(i).tolist()}
        for i in range(count)
    ]
    frames = [frame | camera for frame in frames] if per_frame else frames
    file = folder / "transforms.json"
    file.write_text(json.dumps({"frames": frames} | ({} if per_frame else camera)))
    return file


IDS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "OPENCV": 4, "OPENCV_FISHEYE": 5, "FOV": 7}


def colmap(folder: Path, model: str, values, *, binary: bool, count=3, size=SIZE, points=()) -> Path:
    """A COLMAP model with one camera, and pictures that move forward (world to camera).

    ``points`` are (x, y, z, error, number of pictures that see it); all pictures are said to see each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"frame_{i + 1:05d}.png" for i in range(count)]
    moves = [(-0.1 * i, 0.2, -0.5 * i) for i in range(count)]
    if not binary:
        numbers = " ".join(str(v) for v in values)
        (folder / "cameras.txt").write_text(f"# cameras\n1 {model} {size[1]} {size[0]} {numbers}\n")
        seen = " ".join(f"1.5 2.5 {number}" for number in range(7, 7 + len(points)))
        lines = [
            f"{i + 1} 1 0 0 0 {x} {y} {z} 1 {name}\n" + ("" if i else "10.5 20.5 -1 ") + seen + "\n"
            for i, (name, (x, y, z)) in enumerate(zip(names, moves, strict=True))
        ]
        (folder / "images.txt").write_text("# images\n" + "".join(lines))
        lines = [
            f"{7 + k} {x} {y} {z} 9 9 9 {error}" + " 1 0" * int(tracks) + "\n"
            for k, (x, y, z, error, tracks) in enumerate(points)
        ]
        if lines:
            (folder / "points3D.txt").write_text("# points\n" + "".join(lines))
        return folder
    camera = struct.pack("<QiiQQ", 1, 1, IDS[model], size[1], size[0]) + struct.pack(
        f"<{len(values)}d", *values
    )
    (folder / "cameras.bin").write_bytes(camera)
    data = struct.pack("<Q", count)
    for i, (name, move) in enumerate(zip(names, moves, strict=True)):
        data += struct.pack("<i7di", i + 1, 1, 0, 0, 0, *move, 1) + name.encode() + b"\0"
        data += struct.pack("<Qddq", 1 + len(points), 10.5, 20.5, -1)
        data += b"".join(struct.pack("<ddq", 1.5, 2.5, 7 + k) for k in range(len(points)))
    (folder / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(points))
    for k, (*place, error, tracks) in enumerate(points):
        data += struct.pack("<Q3d3BdQ", 7 + k, *place, 9, 9, 9, error, int(tracks)) + bytes(8 * int(tracks))
    if len(points):
        (folder / "points3D.bin").write_bytes(data)
    return folder


def opencv(path: Path, coefficients=BROWN, fisheye=False, matrix=MATRIX, size=SIZE) -> Path:
    """A calibration as OpenCV's own sample writes it (YAML or XML by the ending)."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", size[1])
    storage.write("image_height", size[0])
    storage.write("fisheye_model", int(fisheye))
    storage.write("camera_matrix", matrix)
    storage.write("distortion_coefficients", np.array(coefficients))
    storage.release()
    return path


def ros(path: Path, coefficients=BROWN, model="plumb_bob", numbers=None) -> Path:
    """A camera_info of ROS."""
    listed = ", ".join(str(v) for v in (MATRIX.ravel() if numbers is None else numbers))
    bends = ", ".join(str(v) for v in coefficients)
    path.write_text(
        f"image_width: 320\nimage_height: 240\ncamera_name: front\ndistortion_model: {model}\n"
        f"camera_matrix:\n  rows: 3\n  cols: 3\n  data: [{listed}]\n"
        f"distortion_coefficients:\n  rows: 1\n  cols: {len(coefficients)}\n  data: [{bends}]\n"
    )
    return path
