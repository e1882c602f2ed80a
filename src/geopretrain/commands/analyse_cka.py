"""``analyse cka``: how alike the layers of one network, or of two, see the same images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.analysis_options import CKA, CkaOptions
from geopretrain.config.command import takes
from geopretrain.config.groups import listed
from geopretrain.config.saved import as_saved, check_replaces, write_saved
from geopretrain.console import console
from geopretrain.errors import OptionError
from geopretrain.files import write_json, write_picture, write_text
from geopretrain.folders import renewed
from geopretrain.wording import in_px

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.networks import Backbone

NUMBERS, TABLE, PICTURE = "cka.json", "cka.csv", "cka.png"
MAX_SAID = 40
"""Largest number of layers that are listed one by one."""
PROTOCOL = (
    "linear CKA with unbiased HSIC, each averaged over batches of {at_once} images ({batches} in all; "
    "{how}), {images} images of {data} ({split}) at {size}"
)
HOW = {
    "pooled": "maps averaged over positions",
    "flattened": "whole maps, a sample an image",
    "positions": "{cells}x{cells} cells an image, each a sample",
}


@dataclass(frozen=True)
class Alignment:
    """How alike layers are.

    Attributes:
        cka: ``L M``, 0 to 1, and below 0 by chance: of each layer of the first network (a row) with each of
            the second.
        standard_error: ``L M``, of the choice of images (a jackknife over batches).
        rows: names of the layers of the first network.
        columns: those of the second.
        protocol: how it was measured, a sentence.
    """

    cka: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    protocol: str


@takes(CkaOptions)
def analyse_cka(options: CkaOptions) -> Alignment:
    """Measure how alike layers see the same images, of one network against itself or of two.

    Returns:
        The numbers, which are also written to ``out``.

    Raises:
        UserError: networks, data, layers or folder cannot be used; the message says what to do.
    """
    from geopretrain.analysis.cka import MIN_SAMPLES
    from geopretrain.analysis.images import open_images, spread_images

    out = Path(options.out)
    inits = listed(options.inits)
    if len(inits) > 2:
        raise OptionError("inits", f"are one network or two, not {len(inits)}.")
    check_replaces(out, NUMBERS, "an earlier comparison of layers", overwrite=options.overwrite)
    use_threads(options.threads)
    networks = _networks(inits, options)
    data = open_images(options.data, options.size)
    positions = spread_images(data, options.split, options.images, MIN_SAMPLES)
    found = _measured(networks, data, positions, options)
    _write(out, found, inits, options)
    console.say(_in_words(found, len(inits)))
    console.say(f"The map is {out / PICTURE}, the numbers are {out / NUMBERS} and .csv.")
    return found


def _in_words(found: Alignment, networks: int) -> str:
    """Return the protocol, and layer by layer how alike two networks are where they have the same layers."""
    if networks == 1 or found.rows != found.columns or len(found.rows) > MAX_SAID:
        return found.protocol
    pairs = zip(found.rows, found.cka.diagonal(), found.standard_error.diagonal(), strict=True)
    width = max(map(len, found.rows))
    lines = [f"{name:{width}}  {value:.3f} (standard error {error:.3f})" for name, value, error in pairs]
    return "\n".join(["How alike each layer is in both:", *lines, found.protocol])


def _networks(inits: list[str], options: CkaOptions) -> list[Backbone]:
    """Return the networks, in evaluation mode on the device; one that names no model takes the other's."""
    from geopretrain.training.resolve import choose_backbones, initialised

    names = choose_backbones(options.backbone, inits)
    device = resolve_device(options.device)
    return [initialised(name, init, device) for name, init in zip(names, inits, strict=True)]


def _measured(
    networks: list[Backbone],
    data: FrameStore | LabelledSet,
    positions: NDArray[np.int64],
    options: CkaOptions,
) -> Alignment:
    from geopretrain.analysis.cka import MinibatchCKA
    from geopretrain.analysis.images import pixels
    from geopretrain.analysis.layers import chosen_layers, fewest_cells, names_shown, samples_of

    batches = _batches(positions, options.batch_size)
    some = pixels(data, positions[:2], networks[0].mean.device)
    layers = [chosen_layers(network, options.layers, some) for network in networks]
    cells = options.cells
    if options.samples == "positions":
        pairs = zip(networks, layers, strict=True)
        cells = min(cells, *(fewest_cells(network, some, own) for network, own in pairs))
    sums = MinibatchCKA()
    with console.progress("comparing layers", len(positions), unit="images") as line:
        for batch in batches:
            images = pixels(data, batch, networks[0].mean.device)
            seen = [
                samples_of(network, images, own, options.samples, cells)
                for network, own in zip(networks, layers, strict=True)
            ]
            sums.update(seen[0], seen[1] if len(seen) > 1 else None)
            line.advance(len(batch))
    names = [tuple(names_shown(own)) for own in layers]
    protocol = PROTOCOL.format(
        batches=len(batches),
        at_once=len(batches[0]),
        how=HOW[options.samples].format(cells=cells),
        images=sum(map(len, batches)),
        data=data.path,
        split=options.split,
        size=in_px(data.size),
    )
    return Alignment(
        sums.compute().cpu().numpy(), sums.standard_error().cpu().numpy(), names[0], names[-1], protocol
    )


def _batches(positions: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return batches of images from all over the data; larger ones where some would be too small to compare.

    Neighbours look alike, so that a batch takes every so-manieth image.
    """
    from geopretrain.analysis.cka import MIN_SAMPLES

    number = max(1, min(-(-len(positions) // size), len(positions) // MIN_SAMPLES))
    return [positions[first::number] for first in range(number)]


def _write(out: Path, found: Alignment, inits: list[str], options: CkaOptions) -> None:
    """Write numbers and map."""
    from geopretrain.pictures.heat_map import draw_heat_map
    from geopretrain.study.inits import short_names

    up, across = inits[0], inits[-1]
    names = short_names([up, across])
    with renewed(out) as aside:
        numbers = {
            "first": up,
            "second": across,
            "protocol": found.protocol,
            "layers_of_first": found.rows,
            "layers_of_second": found.columns,
            "cka": _rounded(found.cka),
            "standard_error": _rounded(found.standard_error),
        }
        write_json(aside / NUMBERS, numbers)
        write_text(aside / TABLE, "".join(_lines(found)))
        label = "linear CKA (unbiased, batches averaged)"
        drawn = draw_heat_map(
            found.cka, found.rows, found.columns, across=names[across], up=names[up], label=label
        )
        write_picture(aside / PICTURE, drawn)
        write_saved(aside, as_saved(CKA, options), own=True)


def _rounded(values: NDArray[np.float64]) -> list[list[float | None]]:
    """Return numbers for JSON, which has none that is no number."""
    return [[round(float(one), 6) if np.isfinite(one) else None for one in row] for row in values]


def _lines(found: Alignment) -> Iterator[str]:
    """Give the rows of the table: names of layers are those of modules, which hold no commas."""
    yield f"layer,{','.join(found.columns)}\n"
    for name, row in zip(found.rows, _rounded(found.cka), strict=True):
        yield f"{name},{','.join('' if one is None else str(one) for one in row)}\n"
