"""What a file of weights really is, told by its first bytes, before any library opens it.

Its name tells nothing: safetensors are called ``.bin``, error pages of servers ``.pth``.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from geopretrain.errors import WeightsError
from geopretrain.records import reason

Kind = Literal["safetensors", "torch"]

_HEAD = 512
_BLOCK = 2**22
MAX_UNPACKED = 3
"""Times its own size that an archive may unpack to; those of PyTorch are not compressed at all."""
MAX_HEADER = 100_000_000
"""Bytes of a safetensors header; the library takes no more."""

_CONVERT = "Convert it with the library that wrote it, and save its tensors with safetensors or torch.save."
_DOWNLOAD = "Download the weights again; in a browser, or with the address of the file itself."

#: Beginnings of files that are something else, what it is, and what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", _CONVERT),
    (b"version https://git-lfs", "the stand-in of Git LFS, not the file itself", "Run git lfs pull."),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it first."),
    (b"BZh", "compressed with bzip2", "Unpack it first."),
    (b"\xfd7zXZ\x00", "compressed with xz", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first."),
    (b"\x93NUMPY", "a NumPy array", "Save a dictionary of tensors with safetensors or torch.save."),
    (b"GGUF", "a GGUF file", _CONVERT),
    (b"TFL3", "a TensorFlow Lite model", _CONVERT),
)


def kind_of(path: Path) -> Kind:
    """Return how a file has to be read.

    Raises:
        WeightsError: it cannot be read, is empty or incomplete, or is no file of weights of a kind we read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise WeightsError(f"Weights file {path} cannot be read ({error.strerror}).") from error
    if not head:
        raise damaged(path, "it is empty")
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= size:
        _check_header(path, size, length)
        return "safetensors"
    _refuse_other_things(path, head)
    if head.startswith(b"PK"):
        _check_archive(path, size)
        return "torch"
    if head.startswith(b"\x80"):
        return "torch"  # a bare pickle, which PyTorch wrote before version 1.6
    if head[8:9] == b"{":
        raise damaged(path, f"its header claims {length:,} bytes, the file has {size:,}")
    if path.suffix == ".safetensors":
        raise damaged(path, "it does not begin as safetensors do")
    if _is_msgpack(head):
        raise WeightsError(f"{path} seems to be a msgpack file, as Flax writes them. {_CONVERT}")
    if _is_onnx(head):
        raise WeightsError(f"{path} seems to be an ONNX model. {_CONVERT}")
    raise damaged(path, "it begins neither as safetensors nor as a file of PyTorch does")


def damaged(path: Path, problem: str) -> WeightsError:
    """Return the error about a file that is not whole."""
    return WeightsError(
        f"Weights file {path} is damaged or incomplete ({problem}). Copy or download it again."
    )


def _refuse_other_things(path: Path, head: bytes) -> None:
    for start, what, advice in _OTHERS:
        if head.startswith(start):
            raise WeightsError(f"{path} is {what}, no file of weights that can be read. {advice}")
    if head[257:262] == b"ustar":
        raise WeightsError(
            f"{path} is a tar archive, as PyTorch wrote before version 0.2. Read it with an old PyTorch and "
            "save it again, or unpack it, if it is an archive of files."
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"{path} is a web page, no file of weights: perhaps an error page. {_DOWNLOAD}")
    if text.startswith((b"{", b"[")):
        raise WeightsError(f"{path} is a text (JSON), no file of weights. {_DOWNLOAD}")


def _check_archive(path: Path, size: int) -> None:
    """Refuse archives that are not whole, hold something else, or unpack to far more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise damaged(path, reason(error)) from error
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED * size + _HEAD:
        raise WeightsError(
            f"{path} unpacks to {unpacked:,} bytes, far more than the {size:,} it has: no file of PyTorch "
            "does that. It was not opened."
        )
    names = [member.filename for member in members]
    if any(name.endswith(".npy") for name in names):
        raise WeightsError(
            f"{path} is an archive of NumPy arrays. Save its arrays as tensors with safetensors."
        )
    if any(name.endswith("constants.pkl") for name in names):
        raise WeightsError(
            f"{path} is a TorchScript program, which would be run to be read. Save its state_dict() instead."
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(
            f"{path} is an archive of other files ({', '.join(names[:3])}), no file of weights. Unpack it, "
            "and give the file of weights in it."
        )
    _check_sums(path)


def _check_sums(path: Path) -> None:
    """Refuse an archive whose content is not what was written; 0 is no sum, PyTorch can leave them out."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.CRC:
                    with archive.open(member) as content:
                        while content.read(_BLOCK):
                            pass
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, zlib.error) as error:
        raise damaged(path, reason(error)) from error


def _check_header(path: Path, size: int, length: int) -> None:
    """Refuse a header that lies about its length, or about where tensors begin and end."""
    if length > min(MAX_HEADER, size - 8):
        raise damaged(path, f"its header claims {length:,} bytes, the file has {size:,}")
    with path.open("rb") as file:
        file.seek(8)
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "its header is no JSON") from error
    if not isinstance(header, dict):
        raise damaged(path, "its header is no list of tensors")
    for name, entry in header.items():
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        ends = [one for one in offsets if isinstance(one, int)] if isinstance(offsets, list) else []
        if name != "__metadata__" and max(ends, default=0) > size - 8 - length:
            raise damaged(path, f"its tensor {name[:80]} would end beyond the end of the file")


def _is_msgpack(head: bytes) -> bool:
    return head[0] in (0xDE, 0xDF) or (0x80 < head[0] < 0x90 and 0xA0 <= head[1:2][0] < 0xE0)


def _is_onnx(head: bytes) -> bool:
    """Its version, then usually who wrote it."""
    return head[0] == 0x08 and head[2:3] in (b"\x12", b"\x3a", b"\x1a")
