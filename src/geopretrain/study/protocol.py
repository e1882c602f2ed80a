"""What a reader needs to judge and repeat a comparison: data, budget, machine, versions, pre-training."""

from __future__ import annotations

import importlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.config.auxiliary import AUXILIARY
from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import command_line
from geopretrain.data.file_names import titles_of_sequences as titles
from geopretrain.study.comparison import depth_of
from geopretrain.study.draws import drawn_from
from geopretrain.study.inits import NamedInit
from geopretrain.tasks.presets import NOTHING_KEPT
from geopretrain.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from geopretrain.study.draws import Draw
    from geopretrain.study.plan import Plan

_SHOWN_SETTINGS = ("method", "steps", "batch_size", "lr", "size", "seed")


def describe_protocol(plan: Plan, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return everything about how the numbers were made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **_of_data(plan, outcomes),
        **_of_labels(plan),
        **_of_network(plan),
        **_of_training(plan, outcomes),
        "score": _score(plan, outcomes),
        "training_seconds": round(sum(outcome["seconds"] for outcome in outcomes), 1),
        "device": plan.device,
        "hardware": hardware(plan.device),
        "versions": versions(),
        "command": command_line(CompareOptions, plan.config),
    }


def _of_data(plan: Plan, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    described = plan.data.describe()
    return {
        "data": plan.config["data"],
        "data_description": described.in_words(remarks=True),
        "scored_on": plan.evaluate_on,
        "splits": {"train": 0, "val": 0, "test": 0} | dict(described.counts) | _scored(outcomes),
    }


def _of_labels(plan: Plan) -> dict[str, Any]:
    """Return which samples are the labelled ones."""
    main, train = plan.first_draws[-1], drawn_from(plan.data, plan.fields)
    return {
        "labels": main.labels,
        "label_counts": plan.counts,
        "subset_seed": main.subset,
        "subset_seeds": sorted({draw.subset for draw in plan.draws if not draw.chosen}),
        "subset_by": main.by,
        "seed_per_set": plan.config["seed_per_set"],
        "subset": plan.data.names(main.positions(plan.data, plan.fields)),
        "drawn": [_drawn(plan, draw, train) for draw in plan.draws if draw.words and not draw.chosen],
        "label_list": plan.config["label_list"],
        "chosen": plan.chosen(),
    }


def _of_network(plan: Plan) -> dict[str, Any]:
    settings = plan.settings
    return {
        "size": settings["size"],
        "backbone": settings["backbone"],
        "head": settings.get("settings", {}).get("head", "depth"),
        "preset": settings["preset"],
        **{name: settings.get(name) for name in AUXILIARY if settings.get("auxiliary") is not None},
        "depth_from": settings.get("depth_from"),
    }


def _of_training(plan: Plan, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how long and at which rates was trained; what is the same in all is that of the first."""
    from geopretrain.runs.folder import RunFolder

    settings, points = plan.settings, plan.curves[plan.first_draws[-1].labels]
    config = RunFolder.open(outcomes[0]["run"]).config if Path(outcomes[0]["run"]).is_dir() else {}
    return {
        "steps": points[-1],
        "steps_of": {str(labels): points[-1] for labels, points in plan.curves.items()},
        "ending": _ending(plan, outcomes),
        "batch_size": settings["batch_size"],
        **{name: config.get(name) for name in ("optimizer", "schedule", "warmup_steps")},
        "precision": config.get("precision", settings["precision"]),
        "learning_rates": sorted({rate for rates in plan.rates.values() for rate in rates}),
        "learning_rate_of": {name: rates[0] for name, rates in plan.rates.items() if len(rates) == 1},
        "seeds": plan.seeds,
        "search_seeds": plan.search_seeds if plan.searches else [],
        "curve": list(points),
    }


def _ending(plan: Plan, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what ended trainings by validation, and on which images; None where steps did."""
    if not plan.ending:
        return None
    every = {str(n): plan.ending_of(points[-1])["validate_every"] for n, points in plan.curves.items()}
    chosen_on = outcomes[0].get("chosen_on") or {"split": "val", "images": 0}
    named = {name: plan.ending[name] for name in ("patience", "monitor")}
    return {**named, "validate_every": every, **chosen_on}


def _drawn(plan: Plan, draw: Draw, train: np.ndarray) -> dict[str, Any]:
    """Return one of several sets of labelled samples, with how many are of each sequence."""
    names = plan.data.names(draw.positions(plan.data, plan.fields))
    sequences = dict(zip(all_names := plan.data.names(train), titles(all_names), strict=True))
    return {
        "labels": draw.labels,
        "subset": draw.subset,
        "names": names,
        "sequences": dict(Counter(sequences[name] for name in names)),
    }


def _scored(outcomes: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how many pictures were scored, where that is no split of the data."""
    return {"test": outcomes[0]["images"]} if "images" in outcomes[0] else {}


def _score(plan: Plan, outcomes: Sequence[dict[str, Any]]) -> str:
    words, protocol = plan.contest.words.protocol, outcomes[0].get("protocol")
    return words if protocol is None else f"{words}; protocol {protocol}"


def describe_inits(inits: Sequence[NamedInit]) -> list[dict[str, Any]]:
    """Return each initialisation with its pre-training and the depth errors that run left."""
    described = []
    for one in inits:
        config = one.results.get("config", {})
        described.append(
            {
                "name": one.name,
                "source": one.source,
                "kind": one.kind,
                "description": one.description,
                "method": one.method,
                "chain": one.chain,
                "weights": one.weights,
                "options": dict(one.options),
                "settings": _settings_of(config),
                "depth": depth_of(one.results.get("depth") or {}),
            }
        )
    return described


def _settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a pre-training, with what it kept of its first weights where it did."""
    kept = {name: config[name] for name, off in NOTHING_KEPT.items() if config.get(name, off) != off}
    return {name: config[name] for name in _SHOWN_SETTINGS if name in config} | kept


def hardware(device: str) -> str:
    """Say what machine computed."""
    import os

    import torch

    if device == "cuda":
        return torch.cuda.get_device_name() if torch.cuda.is_available() else "GPUs of other machines"
    return f"{os.cpu_count()} CPU cores ({_processor()})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions that matter for the numbers."""
    return {"python": platform.python_version(), "geopretrain": __version__} | {
        name: str(getattr(importlib.import_module(name), "__version__", "unknown"))
        for name in ("torch", "timm", "lightning", "torchmetrics")
    }
