"""One picture of a store to look at before training: sample triplets, motion, statistics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.intrinsics import CHECK_CAMERA, field_of_view_degrees
from geopretrain.data.prepare.source_summary import in_words, read_summary, total
from geopretrain.data.prepare.summary import samples_in_words
from geopretrain.pictures import colour_depth
from geopretrain.pictures.text import families, plotted
from geopretrain.wording import in_px

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geopretrain.data.store.frame_store import FrameStore

_TRIPLETS = 6
_WIDTH, _PICTURE_WIDTH, _HEAD, _CAPTION, _MARGIN = 13.0, 2.75, 1.16, 0.3, 0.26  # inches
_INK, _SOFT, _BLUE, _ORANGE = "#1f2933", "#7b8794", "#2f6f9f", "#d9822b"


def draw_contact_sheet(store: FrameStore, path: Path) -> None:
    """Save a PNG with up to six triplets spread over the clips, and how much moves in all of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = _TRIPLETS if store.size[0] < 0.65 * store.size[1] else _TRIPLETS - 2
    samples = np.unique(np.linspace(0, store.num_samples - 1, count).astype(int))
    picture_height = _PICTURE_WIDTH * store.size[0] / store.size[1]
    height = max(_HEAD + len(samples) * (picture_height + _CAPTION) + _MARGIN, 5.6)
    figure = Figure(figsize=(_WIDTH, height), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    left = _MARGIN / _WIDTH
    bold: dict[str, Any] = {"weight": "bold", "va": "center"}
    title = plotted(_title(store))
    family = families(title)
    figure.text(left, 1 - 0.36 / height, title, fontsize=13, color=_INK, fontfamily=family, **bold)
    figure.text(left, 1 - 0.66 / height, _subtitle(store), fontsize=9, color=_SOFT, va="center")
    sources = read_summary(store.path)
    text = in_words(total(sources)) if sources else ""
    figure.text(left, 1 - 0.84 / height, text, fontsize=9, color=_SOFT, va="center")
    alarms = [warning for warning in store.warnings if CHECK_CAMERA in warning]
    if alarms:
        more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
        text = _shorten(alarms[0], 118 - len(more)) + more
        figure.text(left, 1 - 1.02 / height, text, fontsize=9, color=_ORANGE, **bold)
    _draw_triplets(figure, store, samples, picture_height)
    _draw_motion(figure, store)
    figure.savefig(path, pil_kwargs={"compress_level": 1})


def _draw_triplets(figure: Figure, store: FrameStore, samples: np.ndarray, picture_height: float) -> None:
    height = figure.get_figheight()
    sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(0, height))  # in inches
    sheet.set_axis_off()
    target = 0 if store.still_images else 1
    for row, sample in enumerate(samples):
        bottom = height - _HEAD - (row + 1) * (picture_height + _CAPTION) + _CAPTION / 2
        for column, (title, picture) in enumerate(_row(store, int(sample))):
            left, top = _MARGIN + column * (_PICTURE_WIDTH + 0.08), bottom + picture_height
            place = (left, left + _PICTURE_WIDTH, bottom, top)
            sheet.imshow(picture, extent=place, interpolation="lanczos", aspect="auto")
            colour, family = _INK if column == target else _SOFT, families(title)
            sheet.text(left, top + 0.05, title, fontsize=8, color=colour, fontfamily=family)
    sheet.set(xlim=(0, _WIDTH), ylim=(0, height))


def _row(store: FrameStore, sample: int) -> list[tuple[str, np.ndarray]]:
    """Return captions and pictures of a sample: a triplet, or a still image with what is measured of it."""
    number, frame = store.sample(sample)
    clip = store.clips[number]
    title = f"{plotted(_shorten(clip.name, 30))}, frame {frame}"
    if store.still_images:
        return [(title, store.frame_image(number, frame)), *_measured(store, sample)]
    before, after = clip.target_motion[clip.targets.index(frame)]
    first, last = frame - clip.stride, frame + clip.stride
    return [
        (f"frame {first}, motion {before:.1f} px", store.frame_image(number, first)),
        (title, store.frame_image(number, frame)),
        (f"frame {last}, motion {after:.1f} px", store.frame_image(number, last)),
    ]


def _measured(store: FrameStore, sample: int) -> list[tuple[str, np.ndarray]]:
    """Return right image and depth of a sample as pictures, as far as there are any."""
    number, frame = store.sample(sample)
    pictures = []
    if frame in store.clips[number].stereo_frames:
        stereo = store.read([sample], Fields(names=("stereo",))).stereo
        pictures.append(("right image", np.asarray(stereo)[0].transpose(1, 2, 0)))
    if frame in store.clips[number].depth_frames:
        depth = np.asarray(store.read([sample], Fields(names=("depth",))).depth)[0, 0]
        pictures.append(("measured depth", colour_depth(1 / np.where(depth > 0, depth, np.nan))))
    return pictures


def _draw_motion(figure: Figure, store: FrameStore) -> None:
    height = figure.get_figheight()
    left = (_MARGIN + 3 * _PICTURE_WIDTH + 1.1) / _WIDTH
    each = min((height - _HEAD - 1.6) / 2, 3.2)
    places = [
        (left, 1 - (_HEAD + (i + 1) * each + i * 0.95) / height, 0.98 - left, each / height) for i in (0, 1)
    ]
    if store.still_images:
        return
    motions = [np.array(clip.target_motion).mean(1) for clip in store.clips]
    options = (store.index.request or {}).get("options", {})
    histogram, timeline = (figure.add_axes(place) for place in places)
    histogram.hist(np.concatenate(motions), bins=24, color=_BLUE, edgecolor="white", linewidth=0.6)
    histogram.set_xlim(left=0)
    _mark(histogram.axvline, options)
    _style(histogram, "Motion between the frames of a triplet", "mean optical flow, px", "triplets")
    if options:
        histogram.legend(fontsize=8, framealpha=0.9, edgecolor="white", labelcolor=_INK)
    start = 0
    for motion in motions:
        timeline.plot(np.arange(start, start + len(motion)), motion, color=_BLUE, linewidth=1)
        start += len(motion)
        if start < store.num_samples:
            timeline.axvline(start, color="#e4e7eb", linewidth=1, zorder=0)
    _mark(timeline.axhline, options)
    timeline.set_xlim(0, max(store.num_samples - 1, 1))
    timeline.set_ylim(bottom=0)
    _style(timeline, "Motion through the store", "triplet", "mean optical flow, px")


def _mark(line: Any, options: dict[str, Any]) -> None:
    """Mark what was aimed at and what was required."""
    if "target_motion" in options:
        line(
            options["target_motion"],
            color=_ORANGE,
            linewidth=1.4,
            label=f"aimed at: {options['target_motion']:g} px",
        )
        line(
            options["min_motion"],
            color=_SOFT,
            linewidth=1.2,
            linestyle="--",
            label=f"at least: {options['min_motion']:g} px",
        )


def _style(axes: Any, title: str, horizontal: str, vertical: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.set_xlabel(horizontal, fontsize=8.5, color=_SOFT)
    axes.set_ylabel(vertical, fontsize=8.5, color=_SOFT)
    axes.tick_params(labelsize=8, colors=_SOFT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#cbd2d9")


def _title(store: FrameStore) -> str:
    names = ", ".join(clip.name for clip in store.clips[:3]) + (" ..." if len(store.clips) > 3 else "")
    return _shorten(names, 110)


def _subtitle(store: FrameStore) -> str:
    fov = sorted(
        {round(field_of_view_degrees(store.intrinsics(i), store.size)[0]) for i in range(len(store.clips))}
    )
    degrees = f"{fov[0]}" if len(fov) == 1 else f"{fov[0]}-{fov[-1]}"
    camera = "known" if store.intrinsics_known else "assumed for some clips"
    clips = f"{len(store.clips)} clip{'s' * (len(store.clips) != 1)}"
    size = in_px(store.size)
    return "   ·   ".join(
        [clips, samples_in_words(store), size, f"horizontal field of view {degrees}° ({camera})"]
    )


def _shorten(text: str, length: int = 46) -> str:
    return text if len(text) <= length else text[: length // 2 - 2] + "..." + text[-(length // 2 - 2) :]
