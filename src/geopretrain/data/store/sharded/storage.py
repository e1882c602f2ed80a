"""A folder in any file system of fsspec; what goes wrong there is said in words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geopretrain.errors import ConfigError, DataError, UserError
from geopretrain.extras import require_extra
from geopretrain.files import replacing
from geopretrain.records import reason

EXTRA = "remote"
LOCAL = ("file", "local")
_HAVE_FOLDERS = (*LOCAL, "sftp", "ssh", "smb", "ftp", "hdfs", "webhdfs", "dbfs", "arrow_hdfs")
"""File systems in which a folder must be made before something is put into it; others have only names."""
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_NOT_ALLOWED = ("credential", "forbidden", "unauthorized", "accessdenied", "permission", "authentication")
"""What the names of errors about rights are made of."""


class Storage:
    """A folder, by its address; may travel to another process.

    Attributes:
        url: as the user gave it: an address, or the path of a folder.
        error: what is raised where it cannot be used.
    """

    def __init__(self, url: str, error: type[UserError] = DataError) -> None:
        self.url, self.error = re.sub(r"(?<![:/])/+$", "", url), error

    def read(self, name: str) -> bytes:
        """Return the content of a small file.

        Raises:
            FileNotFoundError: there is none.
            UserError: the storage cannot be used.
        """
        with self._in_words():
            system, root = self._system()
            return bytes(system.cat_file(f"{root}/{name}"))

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to the local ``target``; raises as `read`, and OSError where the local disk is full."""
        with self._in_words(target):
            system, root = self._system()
            system.get_file(f"{root}/{name}", str(target))

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole or not at all, as far as the storage can do so (UserError)."""
        try:
            with self._in_words():
                self._write(*self._system(), name, content)
        except FileNotFoundError as error:
            raise self.error(
                f"{self.url} cannot be written: there is no such bucket or folder ({reason(error)}). Make it "
                "first, then repeat the command."
            ) from error

    def names(self) -> list[str]:
        """Return the names of files and folders directly in it (UserError)."""
        with self._in_words():
            system, root = self._system()
            system.invalidate_cache()
            try:
                found = system.ls(root, detail=False)
            except FileNotFoundError:
                return []
            return sorted({str(name).rstrip("/").rpartition("/")[2] for name in found} - {""})

    def lengths(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of each file at any depth below ``folder``, by its name from there (UserError)."""
        with self._in_words():
            system, root = self._system()
            top = f"{root}/{folder}".rstrip("/")
            system.invalidate_cache()
            try:
                found = system.find(top, detail=True)
            except FileNotFoundError:
                return {}
            return {name[len(top) :].lstrip("/"): int(about["size"]) for name, about in found.items()}

    def remove(self, names: Iterable[str]) -> None:
        """Remove files (UserError)."""
        with self._in_words():
            system, root = self._system()
            for name in names:
                system.rm_file(f"{root}/{name}")

    def _write(self, system: Any, root: str, name: str, content: bytes) -> None:
        path = f"{root}/{name}"
        if self._protocol(system) in LOCAL:
            with replacing(Path(path)) as temporary:
                temporary.write_bytes(content)
            return
        if self._protocol(system) in _HAVE_FOLDERS:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.pipe_file(path, content)

    def _system(self) -> tuple[Any, str]:
        """Return the file system, which fsspec keeps for each process, and the folder in it."""
        require_extra("fsspec", EXTRA, "Stores in shards")
        from fsspec.core import url_to_fs

        try:
            system, root = url_to_fs(self.url)
        except ImportError as error:
            raise ConfigError(
                f"'{self.url}' needs a further package ({reason(error)}). For s3:// it comes with "
                f"pip install 'geopretrain[{EXTRA}]'; for gs:// it is gcsfs, for abfs:// adlfs."
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"'{self.url}' is no address that fsspec knows ({reason(error)}). Give one such as "
                "s3://bucket/store, gs://bucket/store, file:///folder, or the path of a folder."
            ) from error
        return system, str(root).rstrip("/")

    @staticmethod
    def _protocol(system: Any) -> str:
        return system.protocol if isinstance(system.protocol, str) else system.protocol[0]

    @contextmanager
    def _in_words(self, target: Path | None = None) -> Iterator[None]:
        """Turn what goes wrong in a file system, of whatever library, into one sentence."""
        try:
            yield
        except (UserError, FileNotFoundError):
            raise
        except Exception as error:
            if target is not None and _is_of_disk(error, target):
                raise
            raise self.error(f"{self.url} {_problem(error)}") from error


def _is_of_disk(error: Exception, target: Path) -> bool:
    """Return whether an error is about the local file that is written."""
    if not isinstance(error, OSError):
        return False
    return error.errno in _DISK or (error.filename and os.fspath(error.filename) == str(target))


def _problem(error: Exception) -> str:
    """Return what happened, and what can be done."""
    why = f"{type(error).__name__}: {reason(error)}"
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"takes no more ({why}). Free some space and repeat the command; what is finished is kept."
    if any(word in type(error).__name__.lower() for word in _NOT_ALLOWED):
        return (
            f"does not let you in ({why}). Check what you may do there, and the credentials that its library "
            "looks for (of s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)."
        )
    return (
        f"cannot be reached, or answers with an error ({why}). Check the address and the network, then "
        "repeat the command; what is finished is kept."
    )
