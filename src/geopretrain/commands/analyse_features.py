"""``analyse features``: what initialisations are worth without training them, and how far they have moved."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.analysis_options import FEATURES, FeaturesOptions
from geopretrain.config.command import takes
from geopretrain.config.groups import listed
from geopretrain.config.saved import as_saved, check_replaces, write_saved
from geopretrain.console import console
from geopretrain.errors import DataError, OptionError
from geopretrain.files import write_json, write_picture, write_text
from geopretrain.folders import renewed
from geopretrain.wording import csv_cell

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.networks import Backbone
    from geopretrain.study.label_draws import LabelDraws
    from geopretrain.study.probes import LabelProbes, Probe

NUMBERS, TABLE, MOVED, PICTURE = "features.json", "features.csv", "moved.csv", "moved.png"
BY_LABELS, CURVES = "labels.csv", "labels.png"
COLUMNS = {"rank_me": "RankMe", "linear_miou": "linear mIoU %", "knn_miou": "k-NN mIoU %", "moved": "moved %"}
PERCENT = ("linear_miou", "knn_miou", "moved")


@dataclass(frozen=True)
class Features:
    """What was found.

    Attributes:
        rows: by initialisation: ``rank_me``, ``linear_miou``, ``knn_miou``, and ``moved``, how far all
            weights are from those of the first one, relative to these.
        layers: by initialisation but the first: how far each layer has moved.
        protocol: how the probes were made, a sentence.
        labels: linear probes by the number of labels; None where none were asked for.
    """

    rows: dict[str, dict[str, float]]
    layers: dict[str, dict[str, float]] = field(default_factory=dict)
    protocol: str = ""
    labels: LabelProbes | None = None

    def text(self) -> str:
        """Return the table in words."""
        width = max(len(name) for name in self.rows)
        heads = "".join(f"{title:>15}" for title in COLUMNS.values())
        lines = [
            f"{name:{width}}" + "".join(f"{_shown(key, row.get(key)):>15}" for key in COLUMNS)
            for name, row in self.rows.items()
        ]
        more = [] if self.labels is None else ["", self.labels.text()]
        return "\n".join([f"{'':{width}}{heads}", *lines, f"{self.protocol}.", *more])


def _shown(key: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{100 * value if key in PERCENT else value:.1f}"


@takes(FeaturesOptions)
def analyse_features(options: FeaturesOptions) -> Features:
    """Probe the features of initialisations on labelled images, and measure how far weights have moved.

    Nothing is trained but what has one solution: a linear layer by least squares, and neighbours.

    Returns:
        The numbers, which are also written to ``out``.

    Raises:
        UserError: networks, data or folder cannot be used; the message says what to do.
    """
    from geopretrain.analysis.features import FeatureProbes
    from geopretrain.study.probes import LabelProbes
    from geopretrain.training.resolve import choose_backbones, initialised
    from geopretrain.weights import weight_files

    out, inits = Path(options.out), listed(options.inits)
    if len(set(inits)) < len(inits):
        raise OptionError("inits", "names one of them twice.")
    check_replaces(out, NUMBERS, "features that were looked at before", overwrite=options.overwrite)
    use_threads(options.threads)
    for init in inits:
        weight_files(init)  # what is missing is said before any of them is probed
    data, draws = _images(options)
    probes = FeatureProbes(data)
    device, networks = resolve_device(options.device), dict[str, "Backbone"]()
    rows: dict[str, dict[str, float]] = {}
    by_labels: list[Probe] = []
    with console.progress("probing", len(inits), unit="networks") as line:
        for init, name in zip(inits, choose_backbones(options.backbone, inits), strict=True):
            network = initialised(name, init, device)
            rows[init] = probes.score(network)
            by_labels += draws.score(init, network) if draws else []
            networks[init] = network.cpu()
            line.advance(1)
    layers = _moved(networks)
    for init, distances in layers.items():
        rows[init]["moved"] = distances[""]
    of_labels = LabelProbes(by_labels, options.evaluate_on, draws.protocol) if draws else None
    found = Features(rows, layers, probes.protocol, of_labels)
    _write(out, found, options)
    console.say(found.text())
    console.say(f"The numbers are {out / NUMBERS} and .csv, those of layers {out / MOVED}.")
    return found


def _images(options: FeaturesOptions) -> tuple[LabelledSet, LabelDraws | None]:
    """Open and check the labelled images; draw sets of them where numbers of labels are asked for."""
    import numpy as np

    from geopretrain.data.labelled.census import check_labels
    from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
    from geopretrain.evaluation.probe import LinearProbe
    from geopretrain.study.label_draws import LabelDraws

    data = LabelledSet.open(str(options.data), size=options.size)
    usual = LinearProbe(data)
    if options.labels is None:
        check_labels(data, usual.fitted, usual.judged, usual.split)
        return data, None
    if not len(data.splits(LABELS).get(split := options.evaluate_on, ())):
        there = data.describe().in_words()
        raise DataError(
            f"'{options.data}' has no labelled images in its {split} split ({there}). "
            "Add some, or choose the split that is judged on with --evaluate-on."
        )
    draws = LabelDraws(data, options)
    fitted, judged = np.union1d(usual.fitted, draws.fitted), np.union1d(usual.judged, draws.judged)
    check_labels(data, fitted, judged, split)
    return data, draws


def _moved(networks: dict[str, Backbone]) -> dict[str, dict[str, float]]:
    """Return how far each network but the first has moved, layer by layer; of other models nothing."""
    from geopretrain.analysis.distance import distances_moved

    (first, start), *others = networks.items()
    weights = start.model.state_dict()
    return {
        init: distances_moved(_without_statistics(weights), _without_statistics(network.model.state_dict()))
        for init, network in others
        if init != first and network.name == start.name
    }


def _without_statistics(state: dict[str, Any]) -> dict[str, Any]:
    """Return weights without the running statistics of batch norms, which no gradient moves."""
    return {
        name: value for name, value in state.items() if ".running_" not in name and "num_batches" not in name
    }


def _write(out: Path, found: Features, options: FeaturesOptions) -> None:
    from geopretrain.analysis.distance import grouped
    from geopretrain.pictures.lines import draw_lines

    with renewed(out) as aside:
        plain = {init: {k: _plain(v) for k, v in row.items()} for init, row in found.rows.items()}
        labels = {} if found.labels is None else {"labels": asdict(found.labels)}
        write_json(aside / NUMBERS, {"protocol": found.protocol, "inits": plain, **labels})
        head = ["init", *COLUMNS]
        write_text(
            aside / TABLE, _csv([head, *([i, *(r.get(c) for c in COLUMNS)] for i, r in plain.items())])
        )
        if found.layers:
            names = [layer for layer in next(iter(found.layers.values())) if layer]
            rows = [[layer, *(_plain(own[layer]) for own in found.layers.values())] for layer in names]
            write_text(aside / MOVED, _csv([["layer", *found.layers], *rows]))
            groups = {init: grouped(own) for init, own in found.layers.items()}
            values = {init: list(own.values()) for init, own in groups.items()}
            across, up = "layers, from the first", f"moved from {next(iter(found.rows))}, relative"
            drawn = draw_lines(list(next(iter(groups.values()))), values, across=across, up=up)
            write_picture(aside / PICTURE, drawn)
        if found.labels is not None:
            probes = [astuple(one) for one in found.labels.probes]
            write_text(aside / BY_LABELS, _csv([["init", "labels", "subset", "linear_miou"], *probes]))
            write_picture(aside / CURVES, found.labels.picture())
        write_saved(aside, as_saved(FEATURES, options), own=True)


def _plain(value: float | None) -> float | None:
    return round(value, 6) if value is not None and math.isfinite(value) else None


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [["" if v is None else csv_cell(v) for v in row] for row in rows]
    )
    return text.getvalue()
