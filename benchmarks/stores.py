"""Times how long a store of very many frames takes to open, in a folder and in shards, and its memory.

    python benchmarks/stores.py --frames 1000000

The frames are black and take no room on the disk; their index is as large as that of real video. Opening is
timed in a process of its own, which has imported everything before; the second time the small files of the
store in shards are in the cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HELPERS = Path(__file__).parents[1] / "tests" / "helpers"
TIMED = """
import resource, sys, time
from geopretrain.data.store.frame_store import FrameStore
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
def timed(what):
    wall, work = time.perf_counter(), time.process_time()
    made = what()
    wall, work = time.perf_counter() - wall, time.process_time() - work
    return made, f"{wall:.1f} s ({work:.1f} s of the processor)"
before = memory()
store, opening = timed(lambda: FrameStore.open(sys.argv[1]))
taken = memory() - before
print(f"opened in {opening}, {taken:.0f} MB of memory more; fingerprint {timed(store.fingerprint)[1]}")
"""


def main() -> None:
    sys.path.append(str(HELPERS))
    from many_frames import FRAME, write_shards, write_store

    frames = read_arguments().frames
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", frames)
        shards = write_shards(Path(folder) / "shards", store, frames)
        size = (store / "store.json").stat().st_size
        print(f"{frames} frames, {frames * FRAME / 1e9:.1f} GB; index {size / 1e6:.0f} MB")
        for name, place in (("folder", store), ("shards", shards), ("shards, again", shards)):
            print(f"{name}: {timed(place, Path(folder) / 'cache')}")


def read_arguments() -> argparse.Namespace:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    parser.add_argument("--frames", type=int, default=1_000_000, help="a multiple of 2500")
    return parser.parse_args()


def timed(place: Path, cache: Path) -> str:
    environment = {**os.environ, "GEOPRETRAIN_CACHE": str(cache)}
    words = [sys.executable, "-c", TIMED, str(place)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
