"""Teachers of depth: any depth model of transformers, or one of our own runs, behind one small class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.data.batches import as_float
from geopretrain.data.fingerprint import Digest, digest, unread
from geopretrain.data.store.pseudo_depth import PseudoDepthInfo
from geopretrain.errors import ConfigError, DataError, WeightsError
from geopretrain.extras import require_extra
from geopretrain.networks.hub import first_line, hub_or_cache
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import DepthTask

_METRIC_DEPTH, _RELATIVE_DISPARITY = ("depth", "metric"), ("disparity", "scale_shift")
_OF_MODEL_TYPE = {
    "glpn": _METRIC_DEPTH,
    "zoedepth": _METRIC_DEPTH,
    "depth_pro": _METRIC_DEPTH,
    "tipsv2_dpt": _METRIC_DEPTH,
}
"""What models give whose kind leaves no doubt; see ``_given_by`` for the others."""


@dataclass(frozen=True)
class Teacher:
    """Something that turns pictures into depth or disparity.

    Attributes:
        info: what its maps mean.
        identity: changes when the teacher does (JSON).
        run: images ``B 3 H W`` uint8 in, maps ``B H W`` float32 on the CPU out.
    """

    info: PseudoDepthInfo
    identity: Any
    run: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Map images ``B 3 H W`` uint8 to maps ``B H W`` of the same size."""
        values = self.run(images)
        expected = (len(images), *images.shape[-2:])
        if values.shape != expected:
            raise DataError(
                f"The teacher {self.info.teacher} gave maps of the shape {tuple(values.shape)} for pictures "
                f"of {expected}. It is no depth model of the usual kind; use another."
            )
        return values.float().cpu()


def load_teacher(
    name: str | Path, *, quantity: str | None = None, meaning: str | None = None, device: str = "cpu"
) -> Teacher:
    """Load a teacher by the folder of a run, the folder of a transformers model, or its name on the hub.

    Args:
        name: see above.
        quantity: ``depth`` or ``disparity``; None = what is known of this kind of model.
        meaning: ``metric``, ``scale`` or ``scale_shift``; None = what is known of this kind of model.
        device: where it computes.

    Raises:
        ConfigError: it gives no depth, or what it gives has to be said.
        WeightsError: it cannot be had or read.
    """
    path = Path(name).expanduser()
    if path.is_dir() and RunFolder(path).is_ours():
        return _own_run(path, quantity, meaning, device)
    if path.exists() and not (path / "config.json").is_file():
        raise WeightsError(
            f"The teacher '{name}' is neither a run of ours nor a folder of a transformers model: it has no "
            "config.yaml of ours and no config.json."
        )
    if not path.exists() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name)):
        raise WeightsError(f"The teacher '{name}' does not exist.")
    return _transformers_model(str(name), path.is_dir(), quantity, meaning, device)


def teacher_digest(name: str | Path) -> str:
    """Return 16 hexadecimal digits for the content of a teacher's files; of one on the hub for its name."""
    path = Path(name).expanduser()
    if not path.is_dir():
        return digest(str(name))
    files = sorted(path.glob("*.safetensors"))
    files += [] if RunFolder(path).is_ours() else sorted(path.glob("*.json"))
    found = Digest()
    for file in files:
        found.add(file.name).add_file(file)
    return found.hex()


def _own_run(path: Path, quantity: str | None, meaning: str | None, device: str) -> Teacher:
    from geopretrain.runs.loading import load_task

    run = RunFolder.open(path)
    task = load_task(run).to(device).eval()
    if not isinstance(task, DepthTask):
        raise ConfigError(
            f"The run {path} was trained for {run.config.get('method', run.kind)} and gives no depth, so it "
            "cannot be a teacher. Use a run of a depth method."
        )
    if quantity not in (None, "disparity"):
        raise ConfigError("Our runs give disparity; leave --quantity away.")
    size = run.size

    def disparity(images: Tensor) -> Tensor:
        pixels = _resized(as_float(images.to(device)), size).clamp(0, 1)
        return _resized(task.predict(pixels).disparity.float(), images.shape[-2:])[:, 0]

    info = PseudoDepthInfo(str(path), "disparity", meaning or task.depth_meaning)
    return Teacher(info, unread([path / "model.safetensors"]), disparity)


def _resized(maps: Tensor, size: Any) -> Tensor:
    if size is None or tuple(size) == tuple(maps.shape[-2:]):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", antialias=True)


def _transformers_model(
    name: str, local: bool, quantity: str | None, meaning: str | None, device: str
) -> Teacher:
    model, processor = _load(name, local)
    model = model.to(device).eval()
    given = _given_by(model.config)
    if (quantity is None or meaning is None) and given is None:
        raise ConfigError(
            f"What '{name}' ({model.config.model_type}) gives is not known from its kind. Say it with "
            "--quantity depth or disparity, and --meaning metric, scale or scale_shift (see its model card)."
        )
    info = PseudoDepthInfo(name, quantity or (given or ("",))[0], meaning or (given or ("", ""))[1])
    identity = unread([name]) if local else name

    def values(images: Tensor) -> Tensor:
        inputs = processor(images=list(images), return_tensors="pt").to(device)
        return _at_size(processor, model(**inputs), len(images), (images.shape[-2], images.shape[-1]))

    return Teacher(info, identity, values)


def _at_size(processor: Any, outputs: Any, count: int, size: tuple[int, int]) -> Tensor:
    """Return maps ``B H W`` at the size of the pictures, the way the model's own processor makes them."""
    finish = getattr(processor, "post_process_depth_estimation", None)
    if finish is None:
        maps = outputs.predicted_depth[:, None].float()
        return functional.interpolate(maps, size, mode="bilinear", align_corners=False)[:, 0]
    sizes = {"target_sizes": [size] * count}
    if "source_sizes" in inspect.signature(finish).parameters:  # ZoeDepth removes its padding
        sizes["source_sizes"] = [size] * count
    return torch.stack([result["predicted_depth"] for result in finish(outputs, **sizes)])


def _given_by(config: Any) -> tuple[str, str] | None:
    """Return (quantity, meaning) of a transformers model, None where its kind does not say."""
    if config.model_type == "depth_anything":
        return _METRIC_DEPTH if config.depth_estimation_type == "metric" else _RELATIVE_DISPARITY
    if config.model_type == "dpt":
        # MiDaS gives disparity; heads on DINOv2 were trained for metric depth or otherwise
        backbone = getattr(getattr(config, "backbone_config", None), "model_type", None)
        return None if backbone == "dinov2" else _RELATIVE_DISPARITY
    return _OF_MODEL_TYPE.get(config.model_type)


def _load(name: str, local: bool) -> tuple[Any, Any]:
    """Return model and processor; only safetensors are read, no code of others is run."""
    require_extra("transformers", "teachers", "Teachers from transformers")
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    with _quiet_transformers(), hub_or_cache(needed=not local) as unreachable:
        try:
            model, found = AutoModelForDepthEstimation.from_pretrained(
                name, use_safetensors=True, output_loading_info=True
            )
            processor = AutoImageProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise WeightsError(_why_not_loaded(name, local, first_line(error, unreachable))) from error
    if missing := sorted(found["missing_keys"]):
        raise WeightsError(
            f"'{name}' lacks {len(missing)} tensors of a depth model, e.g. {missing[0]}: it would answer at "
            "random. Use weights that were trained for depth."
        )
    return model, processor


def _why_not_loaded(name: str, local: bool, reason: str) -> str:
    if local:
        return (
            f"The folder '{name}' holds no usable depth model of transformers ({reason}). It "
            "needs config.json, model.safetensors and preprocessor_config.json."
        )
    return (
        f"The teacher '{name}' is no folder here and could not be fetched from the Hugging Face hub "
        f"({reason}). Where there is a network: `hf download {name} --local-dir DIR`; then copy "
        "DIR and give it in place of the name."
    )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep progress bars and advice of transformers off the screen."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
