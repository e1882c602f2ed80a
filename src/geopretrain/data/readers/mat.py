"""Files of MATLAB: 7.3, which is HDF5 with the axes in reverse order, and those before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.errors import DataError
from geopretrain.extras import require_extra

NYU_FILE, NYU_SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
AGAIN = "Copy it again from where it came from."


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open a file of MATLAB 7.3 for reading.

    Raises:
        DataError: it cannot be read, or what is asked for is not in it.
        ConfigError: the extra is not installed.
    """
    require_extra("h5py", "datasets", "Files of MATLAB 7.3")
    import h5py

    try:
        with h5py.File(file, "r") as content:
            yield content
    except KeyError as error:
        raise DataError(f"{file} does not hold what was expected ({error.args[0]}). {AGAIN}") from error
    except OSError as error:
        said = str(error)
        what = f"cannot be read ({said[:120]})"
        if "truncated" in said:
            what = "is cut off"
        elif "signature" in said:
            what = "is no file of MATLAB 7.3"
        raise DataError(f"{file} {what}. {AGAIN}") from error


def read_mat(file: Path) -> dict[str, Any]:
    """Return the content of a file of MATLAB 5 to 7.2 as plain values (DataError)."""
    from scipy.io import loadmat

    try:
        return dict(loadmat(file, simplify_cells=True))
    except Exception as error:  # scipy raises whatever it stumbles over in a damaged file
        raise DataError(f"{file} is no file of MATLAB that can be read ({error}). {AGAIN}") from error


def nyu_file(path: Path) -> Path | None:
    """Return NYU Depth v2's file of labelled pictures at or in a place, None where it is not there.

    A file may have another name, but for the ending and what other data sets call theirs.
    """
    file = path / NYU_FILE if path.is_dir() else path
    return file if file.is_file() and file.suffix.lower() == ".mat" else None


def nyu_shape(content: Any, depths: str, file: Path) -> tuple[int, int, int]:
    """Return number, height and width of NYU's pictures (DataError where the parts do not fit together)."""
    images, others = content["images"].shape, [content[name].shape for name in (depths, "labels")]
    if len(images) != 4 or images[1] != 3 or any(shape != (images[0], *images[2:]) for shape in others):
        shapes = ", ".join(str(shape) for shape in (images, *others))
        raise DataError(f"{file}: images, {depths} and labels do not fit together ({shapes}). {AGAIN}")
    return images[0], images[3], images[2]


def nyu_splits(file: Path, count: int) -> dict[str, list[int]]:
    """Return the numbers (from 0) of the pictures of ``train`` and ``test``; without a list, ``all``.

    Raises:
        DataError: the list beside the file is another one's.
    """
    listing = file.with_name(NYU_SPLITS)
    if not listing.is_file():
        return {"all": list(range(count))}
    content, found = read_mat(listing), {}
    for split, key in (("train", "trainNdxs"), ("test", "testNdxs")):
        if key not in content:
            raise DataError(f"{listing} holds no {key}; the data set's splits.mat was expected.")
        numbers = np.asarray(content[key], np.int64).reshape(-1) - 1
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
            raise DataError(
                f"{listing}: {key} must be numbers from 1 to {count}, the pictures of {file.name}."
            )
        found[split] = numbers.tolist()
    return found


def nyu_image(content: Any, number: int) -> np.ndarray:
    """Return a picture, ``H W 3`` uint8."""
    return np.ascontiguousarray(content["images"][number].transpose(2, 1, 0), np.uint8)


def nyu_depth(content: Any, depths: str, number: int) -> np.ndarray:
    """Return the depth of a picture, ``H W`` float32 m, 0 = no measurement."""
    depth = np.ascontiguousarray(content[depths][number].T, np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth
