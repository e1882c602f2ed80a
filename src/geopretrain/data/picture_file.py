"""Opening a file with a picture, and nothing that would make a program wait for ever."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile


def open_picture(path: Path | IO[bytes]) -> ImageFile.ImageFile:
    """Open a picture with Pillow, which reads its header.

    Raises:
        OSError: it cannot be opened, is no picture, or is a pipe or a device.
    """
    from PIL import Image

    if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError("it is a pipe or a device, not a file")
    return Image.open(path)
