"""Which drives and frames of KITTI raw a published split holds: by name, or by a list in one of its forms.

Eigen et al., *Depth Map Prediction from a Single Image*, NeurIPS 2014: 697 frames of 28 drives for testing,
the other 33 drives of the categories city, residential and road for training. Zhou et al., *Unsupervised
Learning of Depth and Ego-Motion from Video*, CVPR 2017, take from these triplets of direct neighbours,
without the first and last frame of a drive and without frames where the car stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geopretrain.console import console
from geopretrain.data.text_lists import listed_path, read_lines
from geopretrain.errors import DataError, nearest_name

Key = tuple[str, str]
"""Drive and number of a frame, see `frame_key`."""

EIGEN_TEST = {
    "2011_09_26_drive_0002_sync": ((0, 63, 3), (69, 75, 3)),
    "2011_09_26_drive_0009_sync": ((0, 176, 16), (196, 388, 16)),
    "2011_09_26_drive_0013_sync": ((0, 10, 5), (20, 30, 10), (35, 50, 5), (60, 70, 5), (80, 140, 5)),
    "2011_09_26_drive_0020_sync": ((0, 21, 3), (27, 33, 6), (36, 42, 6), (45, 78, 3), (84, 84, 1)),
    "2011_09_26_drive_0023_sync": ((18, 216, 18), (252, 468, 18)),
    "2011_09_26_drive_0027_sync": ((0, 98, 7), (112, 147, 7), (161, 182, 7)),
    "2011_09_26_drive_0029_sync": ((0, 196, 14), (268, 296, 28), (310, 408, 14)),
    "2011_09_26_drive_0036_sync": ((0, 704, 32), (768, 800, 32)),
    "2011_09_26_drive_0046_sync": ((0, 120, 5),),
    "2011_09_26_drive_0048_sync": ((0, 21, 1),),
    "2011_09_26_drive_0052_sync": ((0, 22, 2), (26, 32, 2), (36, 52, 2)),
    "2011_09_26_drive_0056_sync": ((11, 121, 11), (143, 286, 11)),
    "2011_09_26_drive_0059_sync": ((0, 154, 14), (182, 238, 14), (274, 372, 14)),
    "2011_09_26_drive_0064_sync": ((0, 110, 22), (154, 550, 22)),
    "2011_09_26_drive_0084_sync": ((49, 153, 13), (179, 374, 13)),
    "2011_09_26_drive_0086_sync": ((7, 520, 27), (574, 682, 27)),
    "2011_09_26_drive_0093_sync": ((0, 256, 16), (305, 417, 16)),
    "2011_09_26_drive_0096_sync": ((0, 456, 19),),
    "2011_09_26_drive_0101_sync": ((80, 216, 34), (284, 930, 34)),
    "2011_09_26_drive_0106_sync": ((15, 35, 20), (43, 219, 8)),
    "2011_09_26_drive_0117_sync": ((0, 494, 26), (546, 650, 26)),
    "2011_09_28_drive_0002_sync": (
        *((0, 12, 3), (18, 24, 3), (30, 39, 3), (45, 63, 3), (72, 78, 6), (81, 90, 3)),
    ),
    "2011_09_29_drive_0071_sync": ((0, 612, 36), (735, 807, 36), (879, 951, 36), (1054, 1054, 1)),
    "2011_09_30_drive_0016_sync": ((0, 88, 11), (110, 275, 11)),
    "2011_09_30_drive_0018_sync": ((0, 214, 107), (428, 2247, 107), (2419, 2740, 107)),
    "2011_09_30_drive_0027_sync": ((0, 656, 41), (753, 958, 41), (1040, 1081, 41)),
    "2011_10_03_drive_0027_sync": ((0, 543, 181), (734, 2001, 181), (2363, 4535, 181)),
    "2011_10_03_drive_0047_sync": ((0, 224, 32), (288, 800, 32)),
}
"""Frames of each test drive as runs (first, last, step)."""
_TRAIN_NUMBERS = {
    "2011_09_26": (
        1,
        5,
        11,
        14,
        15,
        17,
        18,
        19,
        22,
        28,
        32,
        35,
        39,
        51,
        57,
        60,
        61,
        70,
        79,
        87,
        91,
        95,
        104,
        113,
    ),
    "2011_09_28": (1,),
    "2011_09_29": (4, 26),
    "2011_09_30": (20, 28, 33, 34),
    "2011_10_03": (34, 42),
}
EIGEN_TRAIN = frozenset(
    f"{day}_drive_{number:04d}_sync" for day, numbers in _TRAIN_NUMBERS.items() for number in numbers
)
"""The 33 drives of the categories city, residential and road that are not test drives."""
FRAMES_BY_NAME = ("eigen-test",)
DRIVES_BY_NAME = ("eigen-train", "eigen-zhou")
_FORMS = (
    "'2011_09_26/2011_09_26_drive_0052_sync 0000000002 l' or "
    "'2011_09_26/2011_09_26_drive_0052_sync/image_02/data/0000000002.png'"
)
_FILE = re.compile(r"(?:^|/)([^/]+)/image_0(\d)/(?:data/)?([^/]+)\.\w+$")


@dataclass(frozen=True)
class KittiSplit:
    """The drives and frames of a split.

    Attributes:
        name: as the user gave it.
        drives: that it holds.
        frames: of a list of frames, how they are listed; None where all frames of the drives count.
        neighbours: whether samples are made of direct neighbours, rather than of frames far enough apart.
    """

    name: str
    drives: frozenset[str]
    frames: Mapping[Key, str] | None = None
    neighbours: bool = False


def find_split(name: str) -> KittiSplit:
    """Return a split by its name, or by the path of a list.

    Raises:
        DataError: it is neither, or the list cannot be read.
    """
    if name in DRIVES_BY_NAME:
        return KittiSplit(name, EIGEN_TRAIN, neighbours=name == "eigen-zhou")
    frames = listed_frames(name)
    return KittiSplit(name, frozenset(drive for drive, _ in frames), frames, neighbours=True)


def listed_frames(name: str | Path) -> dict[Key, str]:
    """Return the frames of a list, or of a split that names frames: how they are found, and how listed.

    Raises:
        DataError: neither a name nor a readable list.
    """
    if str(name) in FRAMES_BY_NAME:
        return {
            frame_key(drive, str(number)): f"{drive[:10]}/{drive} {number:010d}"
            for drive, runs in EIGEN_TEST.items()
            for first, last, step in runs
            for number in range(first, last + 1, step)
        }
    file = Path(name).expanduser()
    if not file.is_file():
        known = (*FRAMES_BY_NAME, *DRIVES_BY_NAME)
        more = " (which is a choice of drives, for training)" if str(name) in DRIVES_BY_NAME else ""
        raise DataError(
            f"The split '{name}'{more} cannot be read: give a list of frames, or {', '.join(FRAMES_BY_NAME)}."
            f"{nearest_name(str(name), known)}"
        )
    return read_list(file)


def read_list(file: Path) -> dict[Key, str]:
    """Return the frames of a list: how they are found, and how they are listed.

    Its lines are ``DATE/DRIVE FRAME l``, or begin with the path of a picture
    (``DATE/DRIVE/image_02/data/FRAME.png``). Lines of the right camera (``r``, ``image_03``) and lines that
    are there twice are left out, which is said.

    Raises:
        DataError: unreadable, or a line of another kind.
    """
    found: dict[Key, str] = {}
    right = twice = 0
    for number, text in read_lines(file):
        line = _parsed(listed_path(text))
        if line is None:
            raise DataError(
                f"The split file '{file}', line {number}, must be such as {_FORMS}, not '{text}'."
            )
        drive, frame, is_right, listed = line
        right += is_right
        if not is_right:
            key = frame_key(drive, frame)
            twice += key in found
            found.setdefault(key, listed)
    for count, why in ((right, "of the right camera"), (twice, "listed before")):
        if count:
            console.say(f"'{file}': {count} {'frame is' if count == 1 else 'frames are'} {why} and left out.")
    if not found:
        raise DataError(f"The split file '{file}' lists no frame of the left camera.")
    return found


def _parsed(text: str) -> tuple[str, str, bool, str] | None:
    """Return drive, frame, whether it is of the right camera, and how it is listed; None for other lines."""
    words = text.split()
    if words and (match := _FILE.search(words[0])):  # behind it may stand depth maps, focal lengths
        return match[1], match[3], match[2] == "3", words[0]
    if len(words) not in (2, 3) or (len(words) == 3 and words[2] not in ("l", "r")):
        return None
    return Path(words[0]).name, words[1], words[2:] == ["r"], f"{words[0]} {words[1]}"


def frame_key(drive: str, frame: str) -> Key:
    """Return what a frame is found by: leading zeros of its number are none of a list's business."""
    return drive, frame.lstrip("0") or "0" if frame.isdigit() else frame
