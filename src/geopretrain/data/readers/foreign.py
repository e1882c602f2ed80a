"""Hints about what is given where video was expected: archives, recordings, arrays, folders of our own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from geopretrain.data.file_names import is_clutter

_UNPACK = "an archive: unpack it and give the folder"
_ARRAYS = (
    "export the pictures to a folder images/, depth maps to depth/ beside it (16-bit PNG in mm, same names)"
)
_PHOTOS = (".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".avif", ".jxl", ".jp2", ".psd")
_WEIGHTS = "a file of weights: give it to --init of pretrain or finetune"
_HINTS = {
    (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"): _UNPACK,
    (".mat",): f"a MATLAB file, such as the labelled set of NYU Depth v2: {_ARRAYS}",
    (".h5", ".hdf5", ".hdf"): f"an HDF5 file: {_ARRAYS}",
    (".npy", ".npz"): f"a file of arrays: {_ARRAYS}",
    (
        ".bag",
        ".db3",
        ".mcap",
    ): "a recording of ROS: export its pictures to a folder of PNG files",
    (
        ".svo",
        ".svo2",
    ): "a recording of a ZED camera: export it to left/ and right/",
    (".tfrecord", ".lmdb", ".mdb", ".parquet", ".arrow", ".pkl", ".pickle"): (
        f"a container of a training framework: {_ARRAYS}"
    ),
    (".json", ".xml", ".yaml", ".yml", ".csv", ".txt", ".md"): (
        "a text file, such as annotations or a list: give the folder with the pictures or videos"
    ),
    (".pth", ".pt", ".ckpt", ".safetensors", ".onnx"): _WEIGHTS,
    (
        ".ply",
        ".pcd",
        ".las",
        ".laz",
        ".bin",
        ".obj",
    ): "points, no pictures: give the video taken with them",
    (".flo", ".pfm", ".exr"): "a map, no video: give the folder with its pictures",
    _PHOTOS: "a picture of a kind that is not read: convert it to PNG or JPEG",
    (".mp3", ".wav", ".flac", ".m4a", ".aac", ".ogg"): "a sound file: give the video",
    (".pdf", ".html", ".htm", ".doc", ".docx"): "a document: give a video or a folder of pictures",
}
_STARTS = (
    (b"PK\x03\x04", _UNPACK),
    (b"\x1f\x8b", _UNPACK),
    (b"7z\xbc\xaf", _UNPACK),
    (b"Rar!", _UNPACK),
    (b"MATLAB 5.0", _HINTS[(".mat",)]),
    (b"\x89HDF", _HINTS[(".h5", ".hdf5", ".hdf")]),
    (b"#ROSBAG", _HINTS[(".bag", ".db3", ".mcap")]),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run `git lfs pull`"),
    (b"<!doctype html", "a web page, not the file itself: the download went wrong"),
    (b"<html", "a web page, not the file itself: the download went wrong"),
)


def hint_for_file(path: Path) -> str | None:
    """Return what a file that cannot be read as a video is, and what to do; None where nothing is known."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return None
    by_content = (hint for mark, hint in _STARTS if start.lower().startswith(mark.lower()))
    by_name = (hint for endings, hint in _HINTS.items() if path.suffix.lower() in endings)
    hint = next(by_content, None) or next(by_name, None)
    return None if hint is None else f"{path} is {hint}."


def unread_pictures(folder: Path, but: Collection[str] = ()) -> str | None:
    """Return what to say of the pictures in a folder whose kind is not read; None where there are none.

    Args:
        folder: they lie directly in it.
        but: endings of files that the caller does read.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if _is_unread(entry, but)]
    except OSError:  # who reads it says so
        return None
    if not names:
        return None
    if len(names) == 1:
        return f"{folder / names[0]} is of a kind that is not read: convert it to PNG or JPEG."
    return (
        f"{len(names)} pictures in {folder} are of a kind that is not read ({min(names)}, for example): "
        "convert them to PNG or JPEG."
    )


def _is_unread(entry: Path, but: Collection[str]) -> bool:
    ending = entry.suffix.lower()
    return ending in _PHOTOS and ending not in but and not is_clutter(entry.name)


def hint_for_folder(path: Path) -> str | None:
    """Return what a folder that a command of ours has written is for, None for others."""
    if (path / "store.json").is_file():
        return (
            f"{path} is a store that is prepared already: use it as it is, `geopretrain pretrain METHOD "
            f"--data {path}`. Where pictures or videos are asked for, and to prepare it in another way, name "
            "the videos it was made from."
        )
    if (path / ".preparing").is_dir():
        return f"{path} is a store whose preparation has not finished: repeat the command that makes it."
    if (path / "comparison.json").is_file() or (path / "inits.json").is_file():
        return f"{path} is the folder of a comparison, which holds no video; its report.html shows it."
    if (path / "lineage.json").is_file() or (path / "backbone.safetensors").is_file():
        return (
            f"{path} is the folder of a run, which holds no video: it is what --init, `evaluate` and "
            "`predict` take. Name the data here."
        )
    return None
