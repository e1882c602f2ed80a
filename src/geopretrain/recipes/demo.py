"""The main job on the built-in synthetic street: video, depth pre-training, 16 labels, comparison, report.

Sizes are chosen by measurement so that the whole job ends within 12 minutes on two CPU cores. Everything in
it is a call of the public Python API; nothing here is special to the demo but the numbers.
"""

from __future__ import annotations

import webbrowser
from pathlib import Path

import geopretrain as gp
from geopretrain.compute import fewer_threads_where_shared
from geopretrain.config.command import takes
from geopretrain.config.options import DemoOptions
from geopretrain.config.saved import as_saved, write_saved
from geopretrain.console import console
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.folders import foreign, mark_begun, owned


@takes(DemoOptions)
def demo(options: DemoOptions) -> Path:
    """Run the demo into ``out`` and return the path of its report.

    Repeating the command continues where it stopped: finished parts are kept.

    Raises:
        UserError: an option or the folder cannot be used; the message says what to do.
    """
    if options.size is None:
        raise OptionError("size", "must be HEIGHTxWIDTH in pixels: the worlds are rendered at it.")
    out, size = Path(options.out), options.size
    if foreign(out) and not (out / "store").is_dir():
        raise RunFolderError(
            f"'{out}' is not empty and holds no demo, so it is left alone. Choose another --out."
        )
    with owned(out):
        return _run(options, out, size)


def _run(options: DemoOptions, out: Path, size: tuple[int, int]) -> Path:
    overwrite, depth, (height, width) = options.overwrite, out / "depth", size
    console.say("1 of 3: prepare the video, the synthetic street")
    video = f"{options.video}&height={height}&width={width}&stereo=0"
    store = gp.prepare([video], out / "store", size=options.size, overwrite=overwrite)
    write_saved(out, as_saved("demo", options))
    mark_begun(out)
    console.say("\n2 of 3: learn depth from it, without labels")
    begun = gp.RunFolder(depth).is_ours() and not overwrite
    with fewer_threads_where_shared():
        gp.pretrain(
            "monodepth", data=store.path, out=depth, steps=options.steps, resume=begun, overwrite=overwrite
        )
    console.say(
        f"\n3 of 3: learn to segment from {options.labels} labelled images, from scratch and from depth"
    )
    comparison = gp.compare(
        ("random", str(depth)),
        data=options.labelled,
        out=out / "comparison",
        labels=options.labels,
        seeds=options.seeds,
        modes=options.modes,
        steps=options.finetune_steps,
        size=options.size,
        overwrite=overwrite,
    )
    if options.open_report:
        webbrowser.open(comparison.report.resolve().as_uri())
    return comparison.report
