"""What lies where a store was uploaded to: shards named by their content, and an index, written last.

``sharded-store.json`` lists the shards in ``shards/``, each named by its SHA-256, of every file of the store:
small files are one shard each, rows (frames, depth, ...) some shards of whole rows, depth maps at the
source's resolution some shards of whole PNG files, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from geopretrain.data.store.index import DEPTH_FOLDER, has_index
from geopretrain.errors import DataError, short
from geopretrain.records import Index, Text, as_type

FORMAT, VERSION = "geopretrain-sharded-store", 1
SHARDED_INDEX, SHARDS = "sharded-store.json", "shards"
SOURCE_DEPTH = DEPTH_FOLDER
"""Name of the depth maps at the source's resolution among the files of rows."""
LENGTHS_FILE = "depth.lengths"
"""Small file: bytes of each of these maps, uint32."""
AGAIN = "Upload the store again."
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

Key = Annotated[Text, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[Text, Field(pattern=r"^(\w[\w-]*/)?\w[\w.-]*$", max_length=100)]
"""Of a file in a store; none that leads out of it."""


@dataclass(frozen=True)
class Shard:
    """A part of a file of a store.

    Attributes:
        key: SHA-256 of its content, hexadecimal; its name.
        bytes: its length.
        rows: number of rows in it; 1 for a small file.
    """

    key: Key
    bytes: Index
    rows: Index = 1


@dataclass(frozen=True)
class ShardedIndex:
    """What ``sharded-store.json`` says.

    Attributes:
        shard_bytes: length that shards have at most, where a row is not longer.
        small: the small files, by name.
        rows: the shards of each file of rows, in order.
        fingerprints: of the store, by the names of the fields, see `fields_key`.
    """

    shard_bytes: Index
    small: dict[Name, Shard]
    rows: dict[Name, list[Shard]]
    fingerprints: dict[Text, Text]

    def shards(self) -> list[Shard]:
        """Return every shard, small files first."""
        return [*self.small.values(), *(shard for part in self.rows.values() for shard in part)]

    @property
    def row_bytes(self) -> int:
        """Bytes of all rows."""
        return sum(shard.bytes for part in self.rows.values() for shard in part)

    def text(self) -> bytes:
        """Return the index as it is written."""
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return (json.dumps(values, sort_keys=True) + "\n").encode()

    @classmethod
    def from_text(cls, text: bytes, place: str) -> ShardedIndex:
        """Rebuild an index.

        Raises:
            DataError: it is damaged, or was written by a newer version.
        """
        file = Path(place) / SHARDED_INDEX
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}/{SHARDED_INDEX} is no JSON, perhaps cut off. {AGAIN}") from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(f"{place}/{SHARDED_INDEX} does not belong to a store of geopretrain.")
        if values.get("version") != VERSION:
            raise DataError(
                f"{place} was uploaded in format {short(values.get('version'))}, this version reads "
                f"{VERSION}. Install a newer geopretrain, or upload the store again with this one."
            )
        index: ShardedIndex = as_type(cls, values, file, error=DataError, advice=AGAIN)
        return index


def key_of(content: bytes | memoryview) -> str:
    """Return the name of a shard."""
    return hashlib.sha256(content).hexdigest()


def fields_key(names: tuple[str, ...]) -> str:
    """Return how the fingerprint of frames with further fields is listed, e.g. ``depth+pseudo_depth``."""
    return "+".join(sorted(names))


def every_choice(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all sets of fields, the empty one first."""
    return [chosen for count in range(len(names) + 1) for chosen in combinations(names, count)]


def is_url(place: Any) -> bool:
    """Return whether what a user names is an address, such as ``s3://bucket/store``."""
    return isinstance(place, str) and _URL.match(place) is not None


def is_sharded(place: Any) -> bool:
    """Return whether what a user names can only be a store in shards: an address, or a folder of shards."""
    return is_url(place) or (Path(place) / SHARDED_INDEX).is_file()


def is_prepared(place: str | Path) -> bool:
    """Return whether what a user names is a complete store: in its folder, or in shards."""
    return is_sharded(place) or has_index(place)
