"""The index of a store: which clips, frames and samples its files hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.errors import DataError

FORMAT = "geopretrain-frame-store"
VERSION = 2
INDEX_FILE, SHEET_FILE = "store.json", "contact_sheet.png"
FRAMES_FILE, STEREO_FILE, DEPTH_FILE, DEPTH_FOLDER = "frames.u8", "stereo.u8", "depth.f16", "depth"
WORK_FOLDER = ".preparing"  # holds a store until it is complete
DEPTH_UNITS_PER_METRE = 256.0


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

    size: tuple[int, int]
    still_images: bool
    depth_protocol: str | None
    warnings: list[str]
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
    def from_json(cls, values: dict[str, Any]) -> StoreIndex:
        """Rebuild an index (TypeError or KeyError when it is not one)."""
        height, width = values["size"]
        return cls(
            size=(height, width),
            still_images=values["still_images"],
            depth_protocol=values["depth_protocol"],
            warnings=list(values["notes"]),
            clips=[ClipInfo.from_json(clip) for clip in values["clips"]],
            request=values.get("request"),
        )


def read_index(path: Path) -> StoreIndex:
    """Read the index of the store in a folder.

    Raises:
        DataError: there is no store, or it is damaged or of another version.
    """
    file = path / INDEX_FILE
    if not file.is_file():
        raise DataError(_why_no_store(path))
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(f"{file} does not belong to a frame store of geopretrain.")
        if values["version"] != VERSION:
            raise DataError(
                f"{path} was written in format {values['version']}, this version reads {VERSION}. Prepare it "
                "again."
            )
        return StoreIndex.from_json(values)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is damaged ({error!r}). Prepare the store again.") from error


def _why_no_store(path: Path) -> str:
    """Return the sentence about a folder without an index."""
    if (path / WORK_FOLDER).is_dir():
        return (
            f"{path} is not complete: its preparation was interrupted. Repeat the same command, it continues."
        )
    return f"{path} is no frame store: it has no {INDEX_FILE}. Make one with `geopretrain data prepare`."
