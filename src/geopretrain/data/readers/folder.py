"""A folder of images as one clip; also the base of the layouts which are folders of images with extras."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import in_order, is_clutter, numbering_gaps
from geopretrain.data.readers.base import NO_RANGE_NEEDED, Frame, SourceClip, files_with
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.depth_maps import as_large_as, is_smaller_view
from geopretrain.data.readers.foreign import unread_pictures
from geopretrain.data.readers.images import IMAGE_SUFFIXES, image_size, on_its_side, read_image
from geopretrain.data.readers.no_pictures import without_depth_maps
from geopretrain.data.text_lists import read_lines
from geopretrain.data.value_range import Range, has_wide, range_warning
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

_SIZES_LOOKED_AT = 200
_NUMBERS_APART = re.compile(r"[\s,;]+")
MIN_BASELINE, MAX_BASELINE = 1e-4, 10.0  # m
_FEW = 0.1  # fraction of frames of another size (or unreadable) that is put up with


class ImageSequence(SourceClip):
    """Frames stored as one image file each, in the order given.

    Readers of data sets add depth maps and right images with `add_depth` and `add_stereo`, and say in
    `read_depth` how a depth file of theirs is read.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        *,
        path: Path,
        fps: float | None = None,
        intrinsics: np.ndarray | None = None,
    ) -> None:
        super().__init__(
            name, str(path), common_size(files, path), fps=fps, intrinsics=intrinsics, length=len(files)
        )
        self.files = list(files)
        self.value_range: Range | None = None
        self._gaps = numbering_gaps([file.name for file in self.files])
        self.depth_files: dict[int, Path] = {}
        self.stereo_files: dict[int, Path] = {}

    def use_range(self, value_range: Range | None) -> None:
        """Set which values of pictures of over 8 bits become 0 and 255; None warns where they are needed."""
        self.value_range = value_range
        if value_range is not None and not has_wide(self.files):
            self.warnings.append(NO_RANGE_NEEDED)
        if value_range is None and (warning := range_warning(self.files)):
            self.warnings.append(warning)

    def use_camera(self, intrinsics: np.ndarray | None, calibrated: tuple[int, int] | None) -> None:
        """Set the camera (``3 3`` px), scaled from the (height, width) that it was calibrated at."""
        if intrinsics is None:
            return
        resize = fit_to_pictures(self, intrinsics, calibrated)
        self.intrinsics = None if resize is None else resize @ intrinsics

    def use_camera_file(self, path: Path) -> None:
        """Set the camera that a file of ``read_camera_file`` holds, where there is one."""
        self.use_camera(*read_camera_file(path))

    def add_depth(self, files: dict[int, Path], protocol: str) -> None:
        """Say which frames have a depth map, and the protocol that fits it ('kitti' or 'dense')."""
        self.depth_files = files
        self.has_depth = bool(files)
        self.depth_protocol = protocol if files else None

    def add_stereo(
        self, files: dict[int, Path], T_to_stereo: np.ndarray, intrinsics: np.ndarray | None
    ) -> None:
        """Say which frames have a right image, where its camera is (``4 4`` m), and its ``3 3`` px.

        Raises:
            DataError: the baseline is 0, or not to the right.
        """
        check_baseline(float(-T_to_stereo[0, 3]), self.path)
        missing = len(self.files) - len(files)
        if missing:
            self.warnings.append(f"{missing} of {len(self.files)} frames have no right image.")
        self.stereo_files, self.has_stereo = files, bool(files)
        if files:
            self.T_to_stereo, self.stereo_intrinsics = T_to_stereo, intrinsics

    def frame(self, index: int) -> Frame:
        """Return one image; it comes with ``error`` set when it is unreadable or of another size."""
        return self._frame(index)

    def depth_indices(self) -> list[int]:
        """Return the frames which have a depth map."""
        return sorted(self.depth_files)

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth map of a frame as `read_depth` gives it, None where there is none.

        Raises:
            DataError: it is unreadable, or neither of the size of the frames nor smaller with their
                proportions.
        """
        file = self.depth_files.get(index)
        if file is None:
            return None
        depth = self.read_depth(file)
        if is_smaller_view(depth.shape[:2], self.size):
            return as_large_as(depth, self.size, file, self.files[index])
        self._check_shape(file, depth.shape[:2], "Depth map")
        return depth

    def read_depth(self, file: Path) -> np.ndarray:
        """Return a depth file of this layout, float32 ``H W`` metres, 0 = no measurement."""
        raise NotImplementedError

    def stereo_indices(self) -> list[int]:
        """Return the frames which have a right image."""
        return sorted(self.stereo_files)

    def stereo(self, index: int) -> np.ndarray | None:
        """Return the right image of a frame, ``H W 3`` uint8, None where there is none (DataError)."""
        file = self.stereo_files.get(index)
        if file is None:
            return None
        image = read_image(file, self.value_range)
        self._check_shape(file, image.shape[:2], "Right image")
        return image

    def _check_shape(self, file: Path, shape: tuple[int, ...], what: str) -> None:
        if tuple(shape) != tuple(self.size):
            lies = on_its_side(f"the {what.lower()}") if tuple(shape) == tuple(self.size[::-1]) else ""
            raise DataError(
                f"{what} {file} is {in_px(shape)}, the frames are {sides(self.size)}. Both "
                f"must have one size: resize neither, but use the files as they come with the data set.{lies}"
            )

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the images; one which is unreadable or of another size comes with ``error`` set."""
        for index in range(start, len(self.files)):
            yield self._frame(index)

    def starts_anew(self, index: int) -> bool:
        """Return whether file numbers were left out just before this one."""
        return index in self._gaps

    def _frame(self, index: int) -> Frame:
        file = self.files[index]
        try:
            image = read_image(file, self.value_range)
        except DataError as error:
            return Frame(index, file.name, None, str(error))
        if image.shape[:2] != self.size:
            other = f"{file} is {in_px(image.shape)}, the other frames are {sides(self.size)}."
            return Frame(index, file.name, None, other)
        return Frame(index, file.name, image)


def open_folder(path: Path, name: str) -> ImageSequence:
    """Open a folder of images in the order of time, depth maps among them left out; four numbers or 3x3 in
    ``intrinsics.txt`` are used if there.

    Raises:
        DataError: no readable image, or images of mixed sizes.
    """
    files, others = without_depth_maps(image_files(path))
    clip = ImageSequence(name, files, path=path)
    clip.warnings += [said for said in (others, unread_pictures(path)) if said]
    clip.use_camera_file(path / "intrinsics.txt")
    if clip.intrinsics is not None:
        clip.warnings.append("Intrinsics were read from intrinsics.txt in the folder.")
    return clip


def matched_by_name(
    files: Sequence[Path], others: Iterable[Path], key: Callable[[str], str] = str
) -> dict[int, Path]:
    """Return by position those of ``others`` which have the same name as a file, endings left out.

    Args:
        files: frames.
        others: files of another camera, depth maps, ...
        key: what two names without ending must have in common, by default all.
    """
    by_name = {key(other.stem): other for other in others if not is_clutter(other.name)}
    pairs = ((index, by_name.get(key(file.stem))) for index, file in enumerate(files))
    return {index: other for index, other in pairs if other is not None}


def check_baseline(baseline: float, where: object) -> None:
    """Raise the DataError for a stereo baseline (m) which is 0, negative, not finite or over 10 m."""
    if not np.isfinite(baseline) or abs(baseline) < MIN_BASELINE:
        raise DataError(
            f"{where}: the stereo baseline is {abs(baseline):g} m. It is the distance between both cameras "
            "in metres and must be above 0: correct the calibration."
        )
    if baseline < 0:
        raise DataError(
            f"{where}: the stereo baseline is {baseline:g} m, so the second camera is on the left. "
            "Exchange left and right."
        )
    if baseline > MAX_BASELINE:
        raise DataError(
            f"{where}: the stereo baseline is {baseline:g} m. Metres were expected; is it in millimetres?"
        )


def motion_to_the_right(baseline: float) -> np.ndarray:
    """Return ``4 4``, from a rectified left camera into the one ``baseline`` metres to the right."""
    motion = np.eye(4)
    motion[0, 3] = -baseline
    return motion


def image_files(path: Path) -> list[Path]:
    """Return the image files directly in a folder in the order of time (`in_order`), clutter left out."""
    return in_order(files_with(path, IMAGE_SUFFIXES))


def common_size(files: Sequence[Path], path: Path) -> tuple[int, int]:
    """Return the (height, width) of nearly all of the images, looking at the headers of up to 200 of them.

    Raises:
        DataError: there is no readable image, or more than a tenth have another size.
    """
    looked_at = (
        [files[i] for i in np.unique(np.linspace(0, len(files) - 1, _SIZES_LOOKED_AT).astype(int))]
        if files
        else []
    )
    sizes: dict[Path, tuple[int, int]] = {}
    reasons: list[str] = []
    for file in looked_at:
        try:
            sizes[file] = image_size(file)
        except DataError as error:
            reasons.append(str(error))
    if not sizes:
        why = f" First problem: {reasons[0]}" if reasons else ""
        raise DataError(f"{path} holds no readable image.{why}")
    (size, count), *others = Counter(sizes.values()).most_common()
    if len(sizes) - count > _FEW * len(sizes):
        example = next(file for file, other in sizes.items() if other == others[0][0])
        raise DataError(
            f"{path} mixes image sizes: {count} of {len(sizes)} images looked at are {in_px(size)}, "
            f"but for example {example.name} is {sides(others[0][0])}. A clip needs frames of "
            "one camera and one size: put each size into its own folder."
        )
    return size


def read_camera_file(path: Path) -> tuple[np.ndarray | None, tuple[int, int] | None]:
    """Return ``3 3`` intrinsics and the (height, width) they are of, None where it is not said.

    The file holds fx fy cx cy or nine numbers, and may hold width and height behind them; without the file
    both are None (DataError for anything else).
    """
    if not path.is_file():
        return None, None
    values = read_numbers(path, (4, 6, 9, 11))
    size = None if values.size in (4, 9) else (round(values[-1]), round(values[-2]))
    if size is not None and min(size) < 1:
        raise DataError(f"{path} ends in the width and height {values[-2]:g} and {values[-1]:g} px.")
    if values.size >= 9:
        return values[:9].reshape(3, 3), size
    fx, fy, cx, cy = values[:4]
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), size


def read_matrix_file(path: Path) -> np.ndarray | None:
    """Return ``3 3`` intrinsics from a text file with fx fy cx cy or nine numbers; None without the file."""
    return read_camera_file(path)[0]


def read_numbers(path: Path, counts: tuple[int, ...]) -> np.ndarray:
    """Return the numbers of a text file, which must be as many as one of ``counts`` (DataError)."""
    expected = " or ".join(str(count) for count in counts)
    text = "\n".join(line.text.partition("#")[0] for line in read_lines(path))
    try:
        values = np.array([float(v) for v in _NUMBERS_APART.split(text) if v])
    except ValueError as error:
        raise DataError(f"{path} holds something else than numbers; {expected} were expected.") from error
    if values.size not in counts:
        raise DataError(f"{path} holds {values.size} numbers; {expected} were expected.")
    return values
