"""Say in words what a path is and whether depth can be learned from it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from geopretrain.data.dataset import IMAGE_FOLDER
from geopretrain.data.labelled.detect import is_labelled
from geopretrain.data.labelled.inspected import inspected
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.beside import other_sets
from geopretrain.data.prepare.inspected_depth import depth_in_words
from geopretrain.data.prepare.intrinsics import camera_warning, field_of_view_degrees, is_grave
from geopretrain.data.prepare.motion import PairMotion, is_cut, measure
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.prepare.verdict import Verdict, judge, judge_store
from geopretrain.data.prepare.warnings import instead
from geopretrain.data.readers import SourceClip, open_source
from geopretrain.data.readers.base import Unusable
from geopretrain.data.readers.flow_pairs import flow_files
from geopretrain.data.resize import central_crop, resize
from geopretrain.data.sizes import MIN_ORIGINAL, working_size
from geopretrain.data.spec import options_of, place_of
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.sharded.index import is_prepared
from geopretrain.errors import ConfigError, DataError
from geopretrain.wording import in_px, sides

USUAL = PreparationOptions()
"""What a preparation does where nothing else is said."""
_FRAMES_LOOKED_AT = 300
_WORLD_FRAMES_LOOKED_AT = 40  # rendering takes longer than reading, and a world moves evenly


@dataclass
class ClipReport:
    """What was found in one clip; motion is per frame, in px at working size.

    Attributes:
        frames: number of frames, as far as known.
        looked_at: number of frames read for this report.
        broken: why frames could not be read.
        motion: mean flow to the next frame over the frames looked at, 0 without any pair.
        static: fraction of the pairs looked at in which the picture hardly moves.
        stride: suggested distance between the frames of a sample.
        cuts: number of scene cuts met.
        segments: number of parts without cuts and gaps, as far as looked at.
        usable: number of frames with usable neighbours (or of single images), estimated from those looked at.
        single_images: whether it is no video, but images with depth or right images.
        alarms: sentences about what may be right, but must be looked at first.
        problems: sentences that speak against training on it as it is.
        advice: sentences that help to get more out of it.
    """

    clip: SourceClip
    frames: int = 0
    looked_at: int = 0
    broken: list[str] = field(default_factory=list)
    motion: float = 0.0
    static: float = 0.0
    stride: int = 1
    cuts: int = 0
    segments: int = 1
    usable: int = 0
    single_images: bool = False
    alarms: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


@dataclass
class Inspection:
    """The report on a path.

    Attributes:
        path: what was inspected.
        clips: one report per clip (empty for a prepared store).
        store: the store when the path is one.
        labels: a sentence about labels found beside the images.
        flow: a sentence about pairs with known optical flow.
        unusable: files and folders among others that cannot be opened.
        others: sentences about data sets in folders inside that are none of the clips.
    """

    path: str
    clips: list[ClipReport]
    store: FrameStore | None = None
    labels: str | None = None
    flow: str | None = None
    unusable: list[Unusable] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Sentences that speak against training on it, with the clip they are about."""
        return [f"{report.clip.name}: {problem}" for report in self.clips for problem in report.problems]

    @property
    def verdict(self) -> Verdict:
        """Fit, fit with little data, or not fit, and why; of several clips those without a problem count."""
        if self.store is not None:
            return judge_store(self.store)
        good = [report for report in self.clips if not report.problems]
        if not good:
            return judge(0, problems=self.problems[:1])
        single = all(report.single_images for report in good)
        samples, segments = sum(report.usable for report in good), sum(report.segments for report in good)
        return judge(samples, segments, noun="image" if single else "frame")

    @property
    def fit(self) -> bool:
        """Whether at least one clip can be used for learning depth."""
        return self.verdict.grade != "not fit"

    def text(self) -> str:
        """Return the report in words."""
        if self.store is not None:
            verdict = self.verdict
            ready = "" if verdict.grade == "not fit" else "Ready for training. "
            return f"{store_in_words(self.store)}\n\n{ready}{verdict}"
        lines = [f"{self.path}: {len(self.clips)} clip{'' if len(self.clips) == 1 else 's'}"]
        for report in self.clips:
            lines += ["", *_clip_lines(report)]
        said = [found for found in (self.labels, self.flow) if found]
        lines += [f"unusable: {one.reason}" for one in self.unusable]
        if not self.clips:
            return "\n".join([*(f"{self.path}: {found}" for found in said), *self.others])
        lines += [line for found in said for line in ("", found)]
        lines += ["", *self.others] if self.others else []
        return "\n".join([*lines, "", _verdict(self)])


def inspect(
    path: str | Path,
    *,
    baseline: float | None = None,
    depth_unit: float | None = None,
    value_range: tuple[float, float] | None = None,
    camera_file: str | PathLike[str] | None = None,
) -> Inspection:
    """Look at a video, folder, data set or store; the first 300 frames of each clip are read.

    Args:
        path: video, folder of images, data set, prepared store or ``synthetic:...``.
        baseline: distance in metres between the cameras of left/ and right/, where no calib.txt says it.
        depth_unit: units per metre of 16-bit PNGs in depth/, e.g. 256; left away: 1000 (millimetres).
        value_range: values of pictures of more than 8 bits that become 0 and 255.
        camera_file: cameras of the clips; None: looked for beside them.

    Raises:
        DataError: nothing there, unreadable, or of no known layout.
        ConfigError: a synthetic spec with an unknown kind or option.
    """
    if is_prepared(path):
        return Inspection(str(path), [], FrameStore.open(path))
    place = place_of(str(path))
    flow, labels = _flow(place), _labels(str(path))
    unusable: list[Unusable] = []
    try:
        # images beside flow files are pairs, not video
        clips = open_source(
            path,
            baseline=baseline,
            depth_unit=depth_unit,
            value_range=value_range,
            camera_file=camera_file,
            unusable=unusable,
        )
        clips = [clip for clip in clips if flow is None or clip.kind != "folder"]
    except (DataError, ConfigError):  # perhaps options of labelled images
        clips = []
        others = other_sets(place, clips) if labels is None else []
        if flow is None and (options_of(str(path)) or not others):
            if labels is None:
                raise
            LabelledSet.open(path)  # raises where these cannot be used, either
    else:
        others = other_sets(place, clips) if labels is None else []
    reports = [_look_at(clip) for clip in clips]
    return Inspection(str(path), reports, labels=labels, flow=flow, unusable=unusable, others=others)


def _look_at(clip: SourceClip) -> ClipReport:
    report = ClipReport(clip, frames=clip.length or 0)
    size = working_size(clip.size)
    pairs = list(_pairs(clip, size, report))
    report.frames = max(report.frames, report.looked_at)
    if pairs and clip.ordered:
        _judge_motion(report, pairs)
    _find_problems(report)
    _try_extras(report)
    return report


def _pairs(clip: SourceClip, size: tuple[int, int], report: ClipReport) -> Iterator[PairMotion]:
    """Yield the motion between neighbouring frames and count what is read."""
    before: np.ndarray | None = None
    crop = central_crop(clip.size, size)
    most = _WORLD_FRAMES_LOOKED_AT if clip.kind == "synthetic" else _FRAMES_LOOKED_AT
    for frame in clip.frames():
        if frame.index >= most:
            return
        report.looked_at += 1
        report.segments += frame.index > 0 and clip.starts_anew(frame.index)
        if frame.error is not None:
            report.broken.append(frame.error)
        image = None if frame.image is None else resize(frame.image, crop, size)
        if image is not None and before is not None:
            yield measure(before, image)
        before = image


def _judge_motion(report: ClipReport, pairs: list[PairMotion]) -> None:
    means = np.array([pair.mean for pair in pairs])
    errors, histograms = np.array([p.error for p in pairs]), np.array([p.histogram for p in pairs])
    report.cuts = int(is_cut(errors, histograms).sum())
    report.segments += report.cuts
    threshold = 0.2 * np.percentile(means, 80)
    moving = means[means >= threshold]
    report.motion = float(np.median(moving))
    report.static = float(np.mean(means < max(threshold, 0.1)))
    report.stride = int(np.clip(round(USUAL.target_motion / max(report.motion, 1e-3)), 1, 15))
    medians = np.median([pair.median for pair in pairs])
    if medians < 0.1 and report.motion > 0.3:
        report.problems.append(
            "most of the picture is static while things move in it. Depth needs a camera that moves."
        )


def _find_problems(report: ClipReport) -> None:
    clip, readable = report.clip, report.looked_at - len(report.broken)
    if min(clip.size) < MIN_ORIGINAL:
        report.problems.append(
            f"frames are {in_px(clip.size)}; {MIN_ORIGINAL} pixels on each side are needed."
        )
    if readable and not (clip.ordered and readable >= 3) and (clip.has_depth or clip.has_stereo):
        report.single_images = True
        report.advice.append(
            "These are single images, no video: prepare them with --still-images, for methods that learn "
            f"from measured depth or stereo pairs.{instead(clip)}"
        )
    elif readable < 3:
        report.problems.append(f"too few frames ({readable} readable); three neighbouring are the least.")
    elif report.motion * 15 < USUAL.min_motion:
        report.problems.append("the picture does not move. Depth is learned from a moving camera.")
    elif report.motion > 2 * USUAL.target_motion:
        report.advice.append(
            f"Neighbouring frames are far apart ({report.motion:.0f} px of motion): video with more frames "
            "per second would serve better."
        )
    if len(report.broken) > readable:
        report.problems.append("more than half of the frames are broken.")
    _estimate_usable(report, readable)
    if clip.camera_problem is not None:
        report.problems.append(clip.camera_problem)
    elif clip.intrinsics is None:
        report.advice.append(
            "Pass --intrinsics fx,fy,cx,cy or --fov in degrees if you know them, or --calibrate focal."
        )
    else:
        warning = camera_warning(clip.intrinsics, clip.size, clip.calibrated_size is not None)
        if warning and is_grave(warning):
            report.problems.append(warning)
        elif warning:
            report.alarms.append(warning)


def _estimate_usable(report: ClipReport, readable: int) -> None:
    """Estimate how many frames have usable neighbours: at the ends of each segment they are missing."""
    if report.single_images:
        report.usable = round(report.frames * readable / max(report.looked_at, 1))
        return
    lost = 2 * report.stride * report.segments
    share = max(0.0, readable * (1 - report.static) - lost) / max(report.looked_at, 1)
    report.usable = round(report.frames * share)
    if readable >= 3 and report.usable < 1 and not report.problems:
        report.problems.append("no three neighbouring frames can be used: too few frames, too many cuts.")


def _try_extras(report: ClipReport) -> None:
    """Read some depth maps and one right image, and say what is wrong with them."""
    clip = report.clip
    try:
        if clip.has_stereo:
            clip.stereo(clip.stereo_indices()[0])
    except DataError as error:
        report.advice.append(str(error))
    usable, said = depth_in_words(clip)
    useless = not usable and report.single_images and not clip.has_stereo
    (report.problems if useless else report.advice).extend(said)


def _clip_lines(report: ClipReport) -> list[str]:
    clip = report.clip
    lines = [f"{clip.name} is {clip.title}: {_length(report)}, {in_px(clip.size)}."]
    lines.append(f"  camera     {_camera(clip)}")
    if report.looked_at > 1 and not report.single_images:
        static = f", {report.static:.0%} of the frames are static" if report.static > 0.02 else ""
        at = sides(working_size(clip.size))
        motion = f"{report.motion:.1f} px per frame at {at}{static}"
        lines.append(f"  motion     {motion}; suggested stride {report.stride}")
    if report.cuts:
        lines.append(
            f"  cuts       {report.cuts} scene cut{'s' * (report.cuts > 1)}; the clip is split there"
        )
    if report.broken:
        count = len(report.broken)
        lines.append(f"  broken     {count} frame{'s' * (count > 1)}. The first: {report.broken[0]}")
    if clip.has_depth:
        lines.append(f"  depth      {_depth(report)}, for measuring errors and for supervised methods")
    lines += _stereo_and_poses(report)
    lines += [f"  warning    {warning}" for warning in clip.warnings]
    lines += [f"  WARNING    {alarm}" for alarm in report.alarms]
    lines += [f"  problem    {problem[0].upper()}{problem[1:]}" for problem in report.problems]
    return lines + [f"  advice     {advice}" for advice in report.advice]


def _depth(report: ClipReport) -> str:
    clip = report.clip
    sparse = clip.depth_protocol == "kitti"
    count = f"{len(clip.depth_indices())} of {report.frames} frame{'s' * (report.frames != 1)}"
    return f"{'sparse LiDAR' if sparse else 'dense'} depth of {count}"


def _stereo_and_poses(report: ClipReport) -> list[str]:
    clip, lines = report.clip, []
    if clip.has_stereo and clip.T_to_stereo is not None:
        baseline = float(np.linalg.norm(clip.T_to_stereo[:3, 3]))
        count = f"{len(clip.stereo_indices())} of {report.frames} frame{'s' * (report.frames != 1)}"
        lines.append(f"  stereo     second camera {baseline:.3f} m to the right for {count}: depth in metres")
    if clip.has_poses:
        lines.append("  poses      measured camera poses")
    return lines


def _length(report: ClipReport) -> str:
    clip = report.clip
    text = f"{report.frames} frames" if report.frames != 1 else "1 frame"
    if clip.fps:
        text += f" at {clip.fps:.3g} frames/s ({report.frames / clip.fps:.1f} s)"
    return text


def _camera(clip: SourceClip) -> str:
    if clip.intrinsics is None:
        return "unknown intrinsics"
    horizontal, vertical = field_of_view_degrees(clip.intrinsics, clip.size)
    fx, cx, cy = clip.intrinsics[0, 0], clip.intrinsics[0, 2], clip.intrinsics[1, 2]
    return (
        f"known: focal length {fx:.1f} px, centre ({cx:.1f}, {cy:.1f}), field of view {horizontal:.0f} x "
        f"{vertical:.0f} degrees"
    )


def _flow(path: Path) -> str | None:
    """Return a sentence when there are pairs with known optical flow."""
    pairs = flow_files(path) if path.is_dir() else []
    if not pairs:
        return None
    kinds = ", ".join(sorted({pair.kind.replace("_", " ") for pair in pairs}))
    count = f"{len(pairs)} pair{'s' * (len(pairs) != 1)}"
    return f"{count} with known optical flow ({kinds}), for measuring the error of flow methods."


def _labels(path: str) -> str | None:
    """Return what images with or without labels hold, of whatever layout `finetune` and `pretrain` take."""
    if not is_labelled(path):
        return None
    if path.startswith(IMAGE_FOLDER):
        return f"Images without class maps: {LabelledSet.open(path).describe().in_words(remarks=True)}."
    found, tasks = inspected(path)
    commands = [f"geopretrain finetune {task} --data {shlex.quote(path)}" for task in tasks]
    return f"Labels: {found}{' Next: ' * bool(tasks)}{', or '.join(commands)}"


def _verdict(inspection: Inspection) -> str:
    verdict, count = inspection.verdict, len(inspection.clips)
    if verdict.grade == "not fit":
        return str(verdict) if count == 1 else f"{verdict} See the problems above."
    good = sum(not report.problems for report in inspection.clips)
    which = "" if count == 1 else f"{good} of {count} clips can be used. "
    still = " --still-images" if any(report.single_images for report in inspection.clips) else ""
    which += "Look at the WARNING above first. " if any(report.alarms for report in inspection.clips) else ""
    source = shlex.quote(str(inspection.path))
    return f"{which}{verdict} Next: geopretrain data prepare {source} --out store{still}"
