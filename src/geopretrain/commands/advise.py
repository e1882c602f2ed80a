"""``advise``: is pre-training on this video likely to pay for these labels, and what to run next?"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.advise_options import AdviseOptions
from geopretrain.config.command import takes
from geopretrain.console import console
from geopretrain.errors import DataError
from geopretrain.files import write_json, write_text
from geopretrain.folders import check_replaceable, owned

if TYPE_CHECKING:
    from geopretrain.advice.advice import Advice
    from geopretrain.advice.commands import Plan
    from geopretrain.advice.labels import Labels
    from geopretrain.advice.learning import Probed
    from geopretrain.advice.video import Video
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.networks import Backbone

JSON, TEXT = "advice.json", "advice.txt"
USUAL_BACKBONE = "tf_efficientnet_lite0"
"""That most measurements are of, and whose ImageNet weights are in a package."""


@takes(AdviseOptions)
def advise(options: AdviseOptions) -> Advice:
    """Say whether pre-training on a video is likely to pay for labelled data, and what it rests on.

    Nothing is trained but linear layers; test images are not looked at.

    Returns:
        The advice: ``text()``, ``as_json()``, ``verdict`` and the facts themselves.

    Raises:
        UserError: data, weights, measurements or folder cannot be used; the message says what to do.
    """
    if options.json:
        console.hush()
    out = None if options.out is None else Path(options.out)
    if out is not None:
        for name in (JSON, TEXT):
            check_replaceable(out / name)
    found = _advice(options)
    if out is not None:
        with owned(out):
            write_json(out / JSON, found.as_json())
            write_text(out / TEXT, f"{found.text()}\n")
        console.say(f"Written to {out / TEXT} and .json.\n")
    return found


def _advice(options: AdviseOptions) -> Advice:
    """Measure both sides and hold them against what is known."""
    from geopretrain.advice import domain, labels, video
    from geopretrain.advice.advice import (
        IMAGENET,
        RANDOM,
        STEEP,
        Advice,
        commands_of,
        headline_of,
        remarks_of,
        verdict_of,
    )
    from geopretrain.advice.measurements import Case, studies
    from geopretrain.advice.rules import answer

    use_threads(options.threads)
    among = studies(None if options.measured is None else Path(options.measured))
    data, task = labels.open_labels(str(options.labelled), options.task, options.size)
    name, networks = _networks(options)
    store = _video(str(options.video), data)
    of_video, of_labels = video.facts_of(store), labels.facts_of(data, task, options.labels)
    alike = domain.compare(store, data, labels.FIELDS[task], networks[IMAGENET])
    probed = _probed(data, of_labels, networks, options.seed)
    case = Case(task, of_labels.wanted, alike.kind, name, of_video.camera)
    imagenet = answer(among, case, RANDOM, imagenet=True)
    pretraining = answer(among, case, IMAGENET)
    from_random = answer(among, case, RANDOM)
    verdict = verdict_of(of_video, pretraining)
    slope = probed.slope(IMAGENET) if probed is not None else None
    steep = bool(of_labels.absent) or (slope is not None and slope >= STEEP)
    plan = _plan(options, (name, networks), of_video, of_labels)
    return Advice(
        verdict=verdict,
        headline=headline_of(verdict, of_video, pretraining),
        video=of_video,
        video_said=tuple(video.in_words(of_video, store)),
        labels=of_labels,
        domain=alike,
        probe=probed,
        imagenet=imagenet,
        pretraining=pretraining,
        from_random=from_random,
        remarks=tuple(remarks_of(of_video, of_labels, alike, probed)),
        commands=tuple(commands_of(plan, verdict, of_video, pretraining, steep)),
        in_json=options.json,
    )


def _plan(
    options: AdviseOptions, network: tuple[str, dict[str, Backbone]], of_video: Video, of_labels: Labels
) -> Plan:
    """Return what the advised commands are of."""
    from geopretrain.advice.advice import IMAGENET, RANDOM
    from geopretrain.advice.commands import Plan

    name, networks = network
    return Plan(
        video=str(options.video),
        labelled=str(options.labelled),
        labels=of_labels,
        backbone=name,
        start=IMAGENET,
        frames=of_video.samples["train"],
        run=next((init for init in networks if init not in (RANDOM, IMAGENET)), None),
        size=options.size,
    )


def _networks(options: AdviseOptions) -> tuple[str, dict[str, Backbone]]:
    """Return the name of the backbone, and the networks that are looked at by their initialisation."""
    from geopretrain.advice.advice import IMAGENET, RANDOM
    from geopretrain.training.resolve import choose_backbone, initialised

    inits = [RANDOM, IMAGENET]
    if options.init is not None and options.init not in inits:
        inits.append(str(options.init))
    name = options.backbone
    if name is None:
        name = choose_backbone(None, inits[-1]) if len(inits) > 2 else USUAL_BACKBONE
    device = resolve_device(options.device)
    return name, {text: initialised(name, text, device, options.seed) for text in inits}


def _video(spec: str, labelled: LabelledSet | FrameStore) -> FrameStore:
    """Return the video as a store (DataError where it is none)."""
    from geopretrain.data.labelled.detect import is_labelled
    from geopretrain.data.opening import open_dataset
    from geopretrain.data.store.frame_store import TRIPLET, FrameStore

    if is_labelled(spec) and isinstance(labelled, FrameStore):
        console.warn(
            f"'{spec}' is read as video, and '{labelled.path}' as labelled data (measured depth). If you "
            f"mean it the other way round: geopretrain advise {quote(str(labelled.path))} {quote(spec)}"
        )
    store = open_dataset(spec, TRIPLET)
    if not isinstance(store, FrameStore):
        raise DataError(
            f"'{spec}' holds single images, and geometry is learned from video. Give a prepared store, a "
            "video or a folder of frames first, and the labelled data second."
        )
    return store


def _probed(
    data: LabelledSet | FrameStore, of_labels: Labels, networks: dict[str, Backbone], seed: int
) -> Probed | None:
    from geopretrain.advice.learning import probe
    from geopretrain.data.labelled.labelled_set import LabelledSet

    if of_labels.task != "segmentation" or not isinstance(data, LabelledSet):
        return None
    return probe(data, networks, of_labels.wanted, seed)
