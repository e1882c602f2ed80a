"""Estimated cameras beside the known ones: python benchmarks/cameras.py PATH[@PX] ... [--work FOLDER]

For each video, and for the videos of one folder together as `data prepare --calibrate` takes them: the focal
length that their frames tell, its error where the camera is known (by the data, or as PX of their own
pictures), each window, and the processor time. With --work the windows are kept: a second run goes on, or
judges again what the first one has found. Needs the extra `calibrate`.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

from geopretrain.console import console
from geopretrain.data.prepare.calibrate.clips import in_words
from geopretrain.data.prepare.calibrate.video import estimate_camera, window_folders
from geopretrain.data.prepare.calibrate.window import RESULT
from geopretrain.data.readers import SourceClip, open_source


def processor_time() -> float:
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def measure(clips: Sequence[SourceClip], name: str, known: float | None, work: Path) -> None:
    """Print what the frames of clips of one camera say of it."""
    began, folder = processor_time(), work / "".join(c if c.isalnum() else "_" for c in name)
    with console.progress("", None) as line:
        found = estimate_camera(clips, folder, line)
    seconds, side = processor_time() - began, max(clips[0].size)
    relative = found.focal * side / (known or side) - 1
    off = f" ({relative:+.1%} of {known:.1f})" if known and found.focal else ""
    verdict = f"NOT BELIEVED: {found.problem}" if found.problem else "believed"
    words = in_words(found, clips[0].size) if found.focal else "nothing found"
    print(f"{name}{off}: {verdict}; bend {found.bend:+.3f}; {words}; {seconds:.0f} s", flush=True)
    for at, (_, place) in enumerate(window_folders(clips, folder)):
        one = json.loads((place / RESULT).read_text(encoding="utf-8"))
        true = known or side
        print(
            f"    window {at}: {one['registered']} of {one['frames']} frames, {one['points']} points, error "
            f"{one['error']:.2f} px, focal {one['focal'] * side / true:.3f}, bend {one['bend']:+.3f}, "
            f"without {one['pinhole_focal'] * side / true:.3f}, uncertainty {one['uncertainty']:.4f}",
            flush=True,
        )


def known_focal(clip: SourceClip, given: float | None) -> float | None:
    return given or (None if clip.intrinsics is None else float(clip.intrinsics[0, 0]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        for argument in options.paths:
            path, _, px = argument.partition("@")
            groups: dict[tuple[object, ...], list[SourceClip]] = {}
            for clip in open_source(path):
                measure([clip], clip.name, known_focal(clip, float(px) if px else None), work)
                groups.setdefault((Path(clip.path).parent, clip.size), []).append(clip)
            for group in groups.values():
                if len(group) > 1:
                    known = known_focal(group[0], float(px) if px else None)
                    measure(group, f"{len(group)} of {Path(group[0].path).parent.name} together", known, work)


if __name__ == "__main__":
    main()
