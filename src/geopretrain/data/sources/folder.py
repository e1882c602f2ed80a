"""A folder of images as one clip; also the base of the layouts which are folders of images with extras."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.images import IMAGE_SUFFIXES, image_size, read_image
from geopretrain.data.sources.base import Frame, SourceClip, natural_key
from geopretrain.errors import DataError

_SIZES_LOOKED_AT = 200
_FEW = 0.1  # share of frames of another size (or unreadable) that is put up with


class ImageSequence(SourceClip):
    """Frames stored as one image file each, in the order given."""

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
        self._gaps = numbering_gaps([file.name for file in self.files])

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
            image = read_image(file)
        except DataError as error:
            return Frame(index, file.name, None, str(error))
        if image.shape[:2] != self.size:
            (h, w), (height, width) = image.shape[:2], self.size
            return Frame(index, file.name, None, f"{file} is {w}x{h}, the other frames are {width}x{height}.")
        return Frame(index, file.name, image)


def open_folder(path: Path, name: str) -> ImageSequence:
    """Open a folder of images (natural order of the names); four numbers or 3x3 in ``intrinsics.txt`` are
    used if there.

    Raises:
        DataError: no readable image, or images of mixed sizes.
    """
    clip = ImageSequence(
        name, image_files(path), path=path, intrinsics=read_matrix_file(path / "intrinsics.txt")
    )
    if clip.intrinsics is not None:
        clip.notes.append("Intrinsics were read from intrinsics.txt in the folder.")
    return clip


def image_files(path: Path) -> list[Path]:
    """Return the image files directly in a folder, hidden ones left out, in natural order."""
    files = (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(files, key=natural_key)


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
            f"{path} mixes image sizes: {count} of {len(sizes)} images looked at are {size[1]}x{size[0]}, "
            "but for example "
            f"{example.name} is {others[0][0][1]}x{others[0][0][0]}. A clip needs frames of one camera and "
            "one size: "
            "put each size into its own folder."
        )
    return size


def numbering_gaps(names: Sequence[str]) -> set[int]:
    """Return the positions before which numbers are skipped (step over 1.5 times the usual) or restart."""
    stems = [re.match(r"(.*?)(\d+)?(\D*)$", Path(name).name.split(".")[0]) for name in names]
    prefixes = [m.group(1) if m else "" for m in stems]
    numbers = [int(m.group(2)) if m and m.group(2) else None for m in stems]
    if any(number is None for number in numbers) or len(names) < 3:
        return set()
    values = np.array(numbers, dtype=np.float64)
    steps = np.diff(values)
    usual = np.median(steps)
    odd = (steps > 1.5 * usual) | (steps <= 0) if usual > 0 else np.zeros(len(steps), dtype=bool)
    return {i + 1 for i in range(len(steps)) if odd[i] or prefixes[i] != prefixes[i + 1]}


def read_matrix_file(path: Path) -> np.ndarray | None:
    """Return ``3 3`` intrinsics from a text file with fx fy cx cy or nine numbers; None without the file."""
    if not path.is_file():
        return None
    try:
        values = np.array([float(v) for v in path.read_text(encoding="utf-8").replace(",", " ").split()])
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} holds something else than numbers; fx, fy, cx, cy or a 3x3 matrix was expected."
        ) from error
    if values.size == 4:
        fx, fy, cx, cy = values
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    if values.size == 9:
        return values.reshape(3, 3)
    raise DataError(f"{path} holds {values.size} numbers; fx, fy, cx, cy or a 3x3 matrix was expected.")
