"""Estimated cameras beside the known ones: python benchmarks/cameras.py PATH ...

For each video of known camera: the focal length that `data prepare --calibrate` finds in its frames, its
error, and the processor time that took. Needs the extra `calibrate`.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from geopretrain.console import console
from geopretrain.data.prepare.calibrate.clips import in_words
from geopretrain.data.prepare.calibrate.video import estimate_camera
from geopretrain.data.readers import SourceClip, open_source


def processor_time() -> float:
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def measure(clip: SourceClip) -> None:
    began = processor_time()
    with tempfile.TemporaryDirectory() as folder, console.progress("", None) as line:
        found = estimate_camera([clip], Path(folder), line)
    seconds = processor_time() - began
    known = None if clip.intrinsics is None else float(clip.intrinsics[0, 0])
    focal = found.focal * max(clip.size)
    error = "no known camera" if known is None else f"{focal / known - 1:+.1%} of {known:.1f} px"
    result = found.problem or "believed"
    words = in_words(found, clip.size) if focal else "-"
    print(f"{clip.name}: {error}; bend {found.bend:+.3f}; {words}; {result}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    for source in sys.argv[1:]:
        for one in open_source(source):
            measure(one)
