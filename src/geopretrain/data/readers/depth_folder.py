"""Images with depth maps beside them: ``images/`` + ``depth/``, KITTI depth, and NYU Depth v2 pairs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import in_order, natural_key
from geopretrain.data.readers.base import files_with, found_below
from geopretrain.data.readers.calibrated import nominal_size
from geopretrain.data.readers.depth_maps import (
    ACCUMULATED,
    DEPTH_SUFFIXES,
    KITTI_UNITS,
    MILLIMETRES,
    is_smaller_view,
    read_depth,
    read_depth_png,
    read_id_map,
    unit_warning,
)
from geopretrain.data.readers.folder import ImageSequence, image_files, matched_by_name, read_matrix_file
from geopretrain.data.readers.images import image_size, turned_alone
from geopretrain.data.readers.kitti_calibration import camera_of_size, released_size
from geopretrain.data.structure import Plane, Structure
from geopretrain.errors import DataError
from geopretrain.wording import in_px

_OTHER_DEPTH = frozenset({".tif", ".tiff", ".exr", ".npz", ".mat", ".hdr", ".jpg", ".jpeg", ".raw", ".bin"})
"""Endings that people give depth maps, and that are not read."""
IMAGE_FOLDERS = ("images", "image", "rgb", "color")
SELECTION_SIZE, NYU_SIZE = (352, 1216), (480, 640)
NYU_VALID = (44, 40, 427, 561)  # top, left, height, width
NYU_INTRINSICS = np.array([[518.8579, 0, 325.5824], [0, 519.4696, 253.7362], [0, 0, 1]])  # at 640x480


class DepthFolder(ImageSequence):
    """``images/`` and ``depth/`` with equal names; depth as 16-bit PNG, or ``.npy`` / ``.pfm`` in metres.

    ``edges/`` and ``planes/`` beside them may hold PNG files of depth boundaries and of planes' ids.
    """

    kind = "images_depth"
    title = "a folder of images with depth"
    ordered = False

    def __init__(self, folder: Path, name: str, *, depth_unit: float | None = None) -> None:
        images = _image_folder(folder)
        files = image_files(images)
        super().__init__(name, files, path=folder)
        self.use_camera_file(folder / "intrinsics.txt")
        maps = files_with(folder / "depth", DEPTH_SUFFIXES)
        pairs = matched_by_name(files, maps)
        if not pairs:
            raise DataError(
                f"{folder / 'depth'} holds no depth map of any image in {images.name}/: give both the same "
                f"name (for example {images.name}/{files[0].name} and depth/{files[0].stem}.png)."
            )
        self.add_depth(pairs, "dense")
        self.edge_files, self.plane_files = (
            matched_by_name(files, files_with(folder / kind, {".png"})) for kind in ("edges", "planes")
        )
        self.depth_unit = depth_unit or MILLIMETRES
        self._note_size()
        if said := turned_alone([(files[k], file) for k, file in sorted(pairs.items())], "depth maps"):
            self.warnings.append(said)
        self._note_unit(depth_unit is None)

    def read_depth(self, file: Path) -> np.ndarray:
        """Return a depth map in metres."""
        return read_depth(file, self.depth_unit)

    def structure(self, index: int) -> Structure | None:
        """Return what ``edges/`` and ``planes/`` have of a picture: edges are not 0, each id is a plane."""
        edges, planes = (self._map(files.get(index)) for files in (self.edge_files, self.plane_files))
        if edges is None and planes is None:
            return None
        return Structure(edges, [] if planes is None else _planes(planes), self.intrinsics)

    def _map(self, file: Path | None) -> np.ndarray | None:
        """Return a map of ids ``H W`` (DataError where it is damaged or of another size)."""
        if file is None:
            return None
        ids = read_id_map(file)
        self._check_shape(file, ids.shape, "Map")
        return ids

    def _note_size(self) -> None:
        """Say where depth maps are smaller than the pictures, as those of phones are."""
        first = self.depth_files[min(self.depth_files)]
        try:
            shape = self.read_depth(first).shape if first.suffix != ".png" else image_size(first)
        except DataError:  # whoever reads it says what is wrong
            return
        if is_smaller_view(shape, self.size):
            self.warnings.append(
                f"Depth maps are {in_px(shape)}, smaller than the images: each measurement is repeated."
            )

    def _note_unit(self, assumed: bool) -> None:
        first = self.depth_files[min(self.depth_files)]
        if assumed and first.suffix.lower() == ".png":
            self.warnings.append(
                "16-bit depth is taken as millimetres; if it is not, pass --depth-unit (units per metre)."
            )
        for _, file in sorted(self.depth_files.items()):
            try:
                warning = unit_warning(self.read_depth(file))
            except DataError:
                continue  # one damaged map does not cost the others; whoever reads it says so
            if warning:
                self.warnings.append(f"depth/{file.name}: {warning}")
            return


def _planes(ids: np.ndarray) -> list[Plane]:
    """Return the planes of a map of ids, 0 = none."""
    return [Plane(f"plane {int(one)}", ids == one) for one in np.unique(ids) if one > 0]


class KittiDepth(ImageSequence):
    """KITTI depth: ``image_02/data`` with accumulated LiDAR in ``proj_depth/groundtruth/image_02``."""

    kind = "kitti_depth"
    title = "a set of KITTI images with depth"
    ordered = False

    def __init__(self, folder: Path, name: str) -> None:
        files = image_files(folder / "image_02" / "data")
        super().__init__(name, files, path=folder)
        self.add_depth(matched_by_name(files, files_with(_kitti_maps(folder), {".png"})), "kitti")
        self.depth_words = ACCUMULATED
        self._find_camera(folder)

    def _find_camera(self, folder: Path) -> None:
        """Set the camera of the KITTI day with images of this size, or of that in the folder's name."""
        if (camera := camera_of_size(self.size)) is not None:
            self.use_camera(camera, self.size)
            self.warnings.append("The camera is that of the KITTI day with images of this size.")
            return
        released = released_size(folder) or self._size_of_maps()
        if released is None:
            self.warnings.append(
                f"The camera is not known: no KITTI day has images of {in_px(self.size)}, and the folder is "
                "not named after one (as 2011_09_26_drive_0001_sync). Give it with --intrinsics."
            )
            return
        self.use_camera(camera_of_size(released), released)

    def _size_of_maps(self) -> tuple[int, int] | None:
        """Return the (height, width) of the depth maps where they have that of a KITTI day."""
        try:
            size = image_size(next(iter(self.depth_files.values())))
        except (StopIteration, DataError):  # whoever reads it says what is wrong
            return None
        return None if camera_of_size(size) is None else size

    def read_depth(self, file: Path) -> np.ndarray:
        """Return semi-dense LiDAR depth in metres."""
        return read_depth_png(file, KITTI_UNITS)


class KittiDepthSelection(ImageSequence):
    """KITTI depth's validation selection: ``image/`` with ``groundtruth_depth/``, LiDAR (m x 256)."""

    kind = "kitti_depth"
    title = "a set of KITTI images with depth"
    ordered = False

    def __init__(self, folder: Path, name: str) -> None:
        files = image_files(folder / "image")
        super().__init__(name, files, path=folder)
        maps = files_with(folder / "groundtruth_depth", {".png"})
        self.add_depth(matched_by_name(files, maps, _without_kind), "kitti")
        self.depth_words = ACCUMULATED
        cameras = matched_by_name(files, files_with(folder / "intrinsics", {".txt"}), lambda stem: stem)
        if cameras:
            camera = read_matrix_file(cameras[min(cameras)])
            self.use_camera(camera, None if camera is None else nominal_size(camera, SELECTION_SIZE))
            self.warnings.append("The camera of the first image is used for all, although days differ.")

    def read_depth(self, file: Path) -> np.ndarray:
        """Return semi-dense LiDAR depth in metres."""
        return read_depth_png(file, KITTI_UNITS)


class NyuScene(ImageSequence):
    """NYU Depth v2 in the layout of depth projects: ``rgb_00045.jpg`` with ``sync_depth_00045.png`` (mm)."""

    kind = "nyuv2"
    title = "a set of NYU Depth v2 pairs"
    ordered = False

    def __init__(self, folder: Path, name: str) -> None:
        files = in_order(f for f in image_files(folder) if f.stem.startswith("rgb_"))
        super().__init__(name, files, path=folder)
        maps = [f for f in files_with(folder, {".png"}) if f.name.startswith("sync_depth_")]
        self.add_depth(matched_by_name(files, maps, lambda stem: stem.rsplit("_", 1)[-1]), "dense")
        if self.size == NYU_VALID[2:]:  # the part that depth projects cut out
            top, left, *_ = NYU_VALID
            self.calibrated_size = self.size
            self.intrinsics = NYU_INTRINSICS - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        else:
            self.use_camera(NYU_INTRINSICS, NYU_SIZE)

    def read_depth(self, file: Path) -> np.ndarray:
        """Return dense depth in metres."""
        return read_depth_png(file, MILLIMETRES)


def find_depth_folders(path: Path) -> list[Path]:
    """Return the folders with ``depth/`` and an image folder at or one or two levels below."""
    found = [depth.parent for depth in found_below(path, "depth")]
    return sorted(
        (f for f in found if _has_images(f) and files_with(f / "depth", DEPTH_SUFFIXES)), key=natural_key
    )


def unread_depth(images: Path) -> str | None:
    """Return what to say of a folder ``depth`` beside pictures that holds no depth map which is read."""
    depth = images.parent / "depth"
    if images.name not in IMAGE_FOLDERS or not depth.is_dir():
        return None
    endings = sorted({file.suffix.lower() for file in files_with(depth, _OTHER_DEPTH)})
    if not endings or files_with(depth, DEPTH_SUFFIXES):
        return None
    return (
        f"{depth} holds {' and '.join(endings)} files, which are not read as depth: 16-bit .png, .npy "
        "(float, m) or .pfm (m) are. Convert them."
    )


def find_kitti_depth(path: Path) -> list[Path]:
    """Return the folders in KITTI depth's layout at or one or two levels below."""
    found = {data.parent.parent for data in found_below(path, "image_02/data")}
    return sorted((f for f in found if _kitti_maps(f).is_dir()), key=natural_key)


def find_kitti_selections(path: Path) -> list[Path]:
    """Return the folders of KITTI depth's validation selection at or one or two levels below."""
    found = [maps.parent for maps in found_below(path, "groundtruth_depth")]
    return sorted((f for f in found if (f / "image").is_dir()), key=natural_key)


def find_nyu_scenes(path: Path) -> list[Path]:
    """Return the folders with NYU pairs at or one or two levels below."""
    return sorted({f.parent for f in found_below(path, "sync_depth_*.[pP][nN][gG]")}, key=natural_key)


def _without_kind(stem: str) -> str:
    """Return a name of the selection without saying whether it is of the image or of the depth map."""
    return re.sub(r"_(image|groundtruth_depth)_", "_", stem, count=1)


def _kitti_maps(folder: Path) -> Path:
    return folder / "proj_depth" / "groundtruth" / "image_02"


def _has_images(folder: Path) -> bool:
    return any((folder / name).is_dir() and image_files(folder / name) for name in IMAGE_FOLDERS)


def _image_folder(folder: Path) -> Path:
    return next(folder / n for n in IMAGE_FOLDERS if (folder / n).is_dir() and image_files(folder / n))
