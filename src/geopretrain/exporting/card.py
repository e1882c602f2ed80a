"""The model card: what weights are, where they come from, what was measured, and how to load them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from geopretrain.exporting.formats import Written
from geopretrain.exporting.subject import Subject
from geopretrain.schema import is_number
from geopretrain.tasks.base import DepthTask, DetectionTask, FlowTask, SegmentationTask
from geopretrain.version import __version__
from geopretrain.wording import in_versions, metric

Rows = Iterator[tuple[str, float, str]]
NO_SCORES = ("steps", "iterations", "images", "samples", "labels", "skipped", "factor", "ratio_spread")
"""Numbers of results.json that are no scores."""
OF_BASELINES = ("abs_rel", "a1", "epe")
"""What of baselines stands beside the scores of the network."""
METHODS_WITH_NOTES = {
    "monodepth": (
        "**The method of Monodepth2 is covered by a patent, and its official code is licensed for "
        "non-commercial use only**; no licence of these weights grants rights in that patent. Clarify this "
        "before commercial use."
    )
}


def model_card(subject: Subject, written: Written, name: str, path: str) -> str:
    """Return the card as Markdown with the header that the hub reads.

    Args:
        subject: the run.
        written: what of it was written.
        name: of the format.
        path: what it is loaded from, as a reader of the card has it.
    """
    parts = [
        f"---\n{_header(subject, name)}\n---",
        f"# {_title(subject)}",
        _what(subject),
        f"## Use\n\n```{'bash' if name == 'monodepth2' else 'python'}\n{written.loaded_from(path)}\n```",
        _bullets([*_input(subject, name), *written.notes, written.checked]),
        f"## Training\n\n{_table(('', ''), _training(subject))}",
        f"## Numbers\n\n{_numbers(subject)}",
        f"## Licence\n\n{_bullets(licence_notes(subject))}",
        f"Made by geopretrain {__version__}, `geopretrain export --format {name}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _header(subject: Subject, name: str) -> str:
    from huggingface_hub import ModelCardData

    library = "timm" if name in ("timm", "hub-folder") else None
    tags = ["geopretrain", subject.method, *([subject.backbone.name] if subject.task.backbone else [])]
    pipeline = {"hub-folder": "image-feature-extraction", "timm": "image-feature-extraction"}.get(
        name, _pipeline(subject)
    )
    data = ModelCardData(library_name=library, tags=tags, pipeline_tag=pipeline)
    return str(data.to_yaml()).strip()


def _pipeline(subject: Subject) -> str:
    if isinstance(subject.task, DepthTask):
        return "depth-estimation"
    if isinstance(subject.task, SegmentationTask):
        return "image-segmentation"
    if isinstance(subject.task, DetectionTask):
        return "object-detection"
    return "image-feature-extraction"


def _title(subject: Subject) -> str:
    backbone = f"{subject.backbone.name}, " if subject.task.backbone else ""
    return f"{backbone}{subject.method}"


def _what(subject: Subject) -> str:
    """Return a paragraph: what it is, and the chain behind it."""
    given = "an encoder for dense vision"
    if isinstance(subject.task, DepthTask):
        given = "depth from a single image, and an encoder for dense vision"
    if isinstance(subject.task, FlowTask):
        given = "optical flow between two images, and an encoder for dense vision"
    if isinstance(subject.task, SegmentationTask):
        given = f"{len(subject.task.class_names)} classes for each pixel of an image"
    if isinstance(subject.task, DetectionTask):
        given = f"objects of {len(subject.task.class_names)} classes in an image"
    chain = " -> ".join(lineage_steps(subject))
    return f"Trained by the method `{subject.method}` for {given}. Lineage: {chain}."


def lineage_steps(subject: Subject) -> list[str]:
    """Return the chain of initialisations and the method, oldest first."""
    steps = []
    for step in subject.lineage.get("chain", []):
        shown = step["init"]
        if step["kind"] == "run":
            shown = f"{step.get('method')} ({shown})"
        if step["kind"] == "imagenet" and step.get("weights"):
            shown = f"imagenet ({step['weights']})"
        steps.append(shown)
    others = [one["method"] for one in subject.lineage.get("beside", {}).values() if "method" in one]
    return [*steps, " with ".join([subject.method, *others])]


def _input(subject: Subject, name: str) -> list[str]:
    height, width = subject.size
    seen = f"The network was trained at {height}x{width} px (height x width)."
    if name in ("onnx", "torch-export") or subject.task.backbone is None:
        return [seen]
    told = subject.backbone.normalisation
    where = "done by `predict`" if name == "safetensors" else "(x - mean) / std"
    if name == "monodepth2":
        where = "done by its scripts"
        told = {"mean": [0.45] * 3, "std": [0.225] * 3}
    return [
        f"Images are RGB in [0, 1], normalised by mean {told['mean']} and std {told['std']} ({where}).",
        seen,
    ]


def _training(subject: Subject) -> list[tuple[str, str]]:
    """Return what it was trained on and how."""
    lineage, config = subject.lineage, subject.run.config
    rows = [
        ("data", f"`{lineage.get('data', 'not kept')}`"),
        ("fingerprint of the data", f"`{lineage.get('data_fingerprint', 'not kept')}`"),
        *((name.replace("_", " "), f"`{one['data']}`") for name, one in lineage.get("beside", {}).items()),
        ("steps", str(subject.run.trained_steps)),
        ("seed", str(lineage.get("seed", config.get("seed")))),
    ]
    named = ("batch_size", "lr", "schedule", "optimizer", "labels", "subset", "precision")
    rows += [(name, f"{config[name]}") for name in named if config.get(name) is not None]
    settings = {name: value for name, value in lineage["task"].items() if _is_plain(name, value)}
    rows.append(("settings", ", ".join(f"{name}={value}" for name, value in settings.items())))
    versions = lineage.get("versions") or {}
    rows.append(("versions", in_versions(versions)))
    return [(name, value) for name, value in rows if value]


def _is_plain(name: str, value: Any) -> bool:
    return name not in ("backbone", "class_names", "class_colours") and not isinstance(value, (list, dict))


def _numbers(subject: Subject) -> str:
    rows = [(name, f"{value:z.4g}", protocol) for name, value, protocol in scores(subject.results)]
    if not rows:
        return "Nothing was measured."
    return _table(("", "", "protocol"), rows)


def scores(results: Mapping[str, Any], place: str = "", protocol: str = "") -> Rows:
    """Yield name, value and protocol of each score of results.json."""
    protocol = str(results.get("protocol", protocol))
    for name, value in results.items():
        shown = f"{place} {metric(str(name))}".strip()
        if isinstance(value, Mapping):
            yield from scores(value, shown, protocol)
        elif (
            is_number(value) and name not in NO_SCORES and ("baselines" not in place or name in OF_BASELINES)
        ):
            own = results.get(f"{name.removesuffix('_miou')}_protocol", protocol)
            yield shown, float(value), str(own)


def licence_notes(subject: Subject) -> list[str]:
    """Return what is known of the licences that the weights depend on."""
    found = ["The licence of these weights is for whoever trained them to choose; consider that of the data."]
    for step in subject.lineage.get("chain", []):
        if step["kind"] == "imagenet":
            licence, weights = step.get("licence", "not stated"), step.get("weights", "timm's")
            found.append(
                f"They started from ImageNet weights ({weights}); their licence, as the publisher states it: "
                f"{licence}. The images of ImageNet are for non-commercial research by its terms."
            )
        if step["kind"] == "file":
            found.append(f"They started from `{step['init']}`, whose licence is not known here.")
    methods = [step.get("method") for step in subject.lineage.get("chain", [])] + [subject.method]
    return found + [METHODS_WITH_NOTES[m] for m in dict.fromkeys(methods) if m in METHODS_WITH_NOTES]


def _bullets(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences if sentence)


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
