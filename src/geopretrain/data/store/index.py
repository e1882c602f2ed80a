"""The index of a store: which clips, frames and samples its files hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Strict

from geopretrain.data.store.checks import problems
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.errors import DataError, short
from geopretrain.records import Flag, Text, as_type, damaged, read_json_text
from geopretrain.schema import MAX_SIDE

FORMAT = "geopretrain-frame-store"
VERSION = 2
INDEX_FILE, SHEET_FILE = "store.json", "contact_sheet.png"
FRAMES_FILE, STEREO_FILE, DEPTH_FILE, DEPTH_FOLDER = "frames.u8", "stereo.u8", "depth.f16", "depth"
POSES_FILE = "poses.f64"
POINTS_FILE = "points.f32"
MAX_POINTS = 512
"""Sparse points of a frame that are kept."""
WORK_FOLDER = ".preparing"  # holds a store until it is complete
COMPLETE_FOLDER = (
    ".prepared"  # holds what is complete and not yet in its place; it counts before what is there
)
DEPTH_UNITS_PER_METRE = 256.0
AGAIN = "Prepare the store again, or copy it again."
Side = Annotated[int, Strict(), Field(ge=1, le=MAX_SIDE)]


@dataclass(frozen=True)
class StoreIndex:
    """What ``store.json`` says.

    Attributes:
        size: (height, width) of the frames, px.
        still_images: whether every frame is a sample of its own, without neighbours.
        depth_protocol: 'kitti' or 'dense' when there are depth maps, else None.
        warnings: sentences worth knowing about how it was prepared.
        clips: what is in it.
        request: inputs and options it was made of, as JSON.
    """

    size: tuple[Side, Side]
    still_images: Flag
    depth_protocol: Text | None
    warnings: list[Text]
    clips: list[ClipInfo]
    request: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the index as it is written."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "size": self.size,
            "still_images": self.still_images,
            "depth_protocol": self.depth_protocol,
            "notes": self.warnings,
            "request": self.request,
            "clips": [clip.as_json() for clip in self.clips],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], file: Path) -> StoreIndex:
        """Rebuild an index that was read from a file (DataError where it is damaged)."""
        found = {**values, "clips": clips_from_json(values.get("clips")), "warnings": values.get("notes")}
        index: StoreIndex = as_type(cls, found, file, error=DataError, advice=AGAIN)
        for field, expected in problems(index.size, index.clips):
            raise damaged(file, field, expected, error=DataError, advice=AGAIN)
        return index


def clips_from_json(clips: Any) -> Any:
    """Return the clips of a file under the names of today; unchecked."""
    return [ClipInfo.named_as_here(clip) for clip in clips] if isinstance(clips, list) else clips


def store_file(path: Path, name: str) -> Path:
    """Return where a file of a store is: in its place, or among what is being moved there."""
    coming = path / COMPLETE_FOLDER / name
    return coming if coming.exists() else path / name


def has_index(path: str | Path) -> bool:
    """Return whether a folder holds a complete store."""
    return store_file(Path(path), INDEX_FILE).is_file()


def read_index(path: Path) -> StoreIndex:
    """Read the index of the store in a folder.

    Raises:
        DataError: there is no store, or it is damaged or of another version.
    """
    file = store_file(path, INDEX_FILE)
    if not file.is_file():
        raise DataError(_why_no_store(path))
    values = read_json_text(file, error=DataError, advice=AGAIN)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"{file} does not belong to a frame store of geopretrain.")
    if values.get("version") != VERSION:
        raise DataError(
            f"{path} was written in format {short(values.get('version'))}, this version reads {VERSION}. "
            "Prepare it again."
        )
    return StoreIndex.from_json(values, file)


def _why_no_store(path: Path) -> str:
    """Return the sentence about a folder without an index."""
    if (path / WORK_FOLDER).is_dir():
        return (
            f"{path} is not complete: its preparation was interrupted. Repeat the same command, it continues."
        )
    return f"{path} is no frame store: it has no {INDEX_FILE}. Make one with `geopretrain data prepare`."
