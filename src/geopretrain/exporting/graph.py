"""A network as a function of tensors, followed with symbols in place of sizes, and compared with itself.

What follows the network is ``torch.export``. It is asked for any number of images of any size first; where a
network cannot be followed so (a transformer that was built for one size), for any number of images of one
size, then for one number of images of one size.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError
from geopretrain.exporting.subject import Subject
from geopretrain.networks import Backbone
from geopretrain.records import reason
from geopretrain.tasks.base import DepthTask, DetectionTask, FlowTask, SegmentationTask, Task

Size = tuple[int, int]
T = TypeVar("T")
TOLERANCE = 1e-3
"""Largest difference allowed, relative to the largest value of an output."""
COARSEST_MULTIPLE = 64
"""Where sides are multiples of more px than this, one size is of more use."""


class Predicts(nn.Module):
    """A task as a function of tensors: what it predicts, without what it means, of images of any size.

    Args:
        task: predicts depth, flow or classes.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return disparity ``B 1 H W``, logits ``B K H W`` or flow ``B 2 H W``."""
        task = self.task
        if isinstance(task, DepthTask):
            return (task.predict(images).disparity,)
        if isinstance(task, FlowTask):
            return (task.predict(images).flow,)
        assert isinstance(task, SegmentationTask)  # see `graph_of`
        return (task.predict(images).logits,)


class Features(nn.Module):
    """A backbone as a function of tensors, its normalisation inside.

    Args:
        backbone: of any family.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the pyramid of the images, finest first."""
        return tuple(self.backbone(images))


@dataclass(frozen=True)
class Graph:
    """What is exported.

    Attributes:
        module: a function of one tensor that returns a tuple of tensors.
        input: name of what goes in: ``images`` ``B 3 H W``, or ``frames`` ``B 2 3 H W``, floats in [0, 1].
        outputs: names of what comes out.
        meanings: of the outputs, with shapes and units.
        multiple: px that the sides are padded to a multiple of, inside.
        size: (height, width) px of the run.
    """

    module: nn.Module
    input: str
    outputs: tuple[str, ...]
    meanings: tuple[str, ...]
    multiple: int
    size: Size

    def example(self, batch: int, size: Size) -> Tensor:
        """Return random input of a size, the same one each time."""
        frames = (2,) if self.input == "frames" else ()
        generator = torch.Generator().manual_seed(batch)
        return torch.rand(batch, *frames, 3, *size, generator=generator)


@dataclass(frozen=True)
class Plan:
    """What may vary.

    Attributes:
        batch: the number of images.
        size: their height and width.
    """

    batch: bool
    size: bool

    @staticmethod
    def least(graph: Graph) -> int:
        """Return the least height and width, px: the coarsest features are no single pixel."""
        return graph.multiple + 1

    def shapes(self, graph: Graph) -> dict[int, Any]:
        """Return which dimensions of the input vary, and by which steps."""
        from torch.export import Dim

        last = 4 if graph.input == "frames" else 3
        found: dict[int, Any] = {0: Dim("batch")} if self.batch else {}
        if self.size:
            least = self.least(graph)
            found |= {last - 1: Dim("height", min=least), last: Dim("width", min=least)}
        return found

    def examples(self, graph: Graph) -> list[Tensor]:
        """Return input to compare with, of several sizes; the network is followed with the last one."""
        step = graph.multiple
        least = self.least(graph)
        several = [(least, least), graph.size, (4 * step, 3 * step + 1), (3 * step - 5, 5 * step - 9)]
        sizes = several if self.size else [graph.size] * 2
        counts = [2, 1, 3, 2][-len(sizes) :] if self.batch else [1] * len(sizes)
        return [graph.example(count, size) for count, size in zip(counts, sizes, strict=True)]

    def in_words(self, graph: Graph) -> str:
        """Return what goes in, e.g. ``any number of images whose sides are multiples of 32 px``."""
        one, several = ("pair", "pairs") if graph.input == "frames" else ("image", "images")
        number = f"any number of {several}" if self.batch else f"one {one} at a time"
        if not self.size:
            return f"{number}, of {graph.size[0]}x{graph.size[1]} px (height x width) only"
        return (
            f"{number}, of any height and width of {self.least(graph)} px or more (where {graph.multiple} px "
            "do not divide them, the border on the right and below is repeated inside, as in Python)"
        )


def graph_of(subject: Subject, part: str, size: Size | None) -> Graph:
    """Return a run, or its backbone, as a function of tensors.

    Raises:
        ConfigError: the run predicts nothing that can be exported.
    """
    task, size = subject.task, size or subject.size
    if part == "backbone":
        step = _multiple([subject.backbone])
        names = tuple(f"features_{stride}" for stride in subject.backbone.strides)
        meanings = tuple(
            f"`B {channels} H/{stride} W/{stride}`, rounded up"
            for channels, stride in zip(subject.backbone.channels, subject.backbone.strides, strict=True)
        )
        return Graph(Features(subject.backbone), "images", names, meanings, step, size)
    name, meaning = _output(subject)
    taken = "frames" if isinstance(task, FlowTask) else "images"
    step = _multiple([module for module in task.modules() if isinstance(module, Backbone)])
    return Graph(Predicts(task), taken, (name,), (meaning,), step, size)


def _multiple(backbones: Sequence[Backbone]) -> int:
    return math.lcm(1, *(side for found in backbones for side in (found.strides[-1], found.last_stride)))


def _output(subject: Subject) -> tuple[str, str]:
    """Return name and meaning of what a task predicts (ConfigError where that is nothing)."""
    task = subject.task
    if isinstance(task, DepthTask):
        unit = "1/m" if task.depth_meaning == "metric" else f"1/depth, {_MEANS[task.depth_meaning]}"
        return "disparity", f"`B 1 H W`, {unit}"
    if isinstance(task, FlowTask):
        return "flow", "`B 2 H W`, px (right, down), from the first frame to the second"
    if isinstance(task, SegmentationTask):
        return "logits", f"`B {len(task.class_names)} H W`; the largest is the class: " + ", ".join(
            task.class_names
        )
    if isinstance(task, DetectionTask):
        raise ConfigError(
            "A detector finds another number of objects in each image, for which this format has no form. "
            "Use --format safetensors for the whole network, or export its backbone with --part backbone."
        )
    raise ConfigError(
        f"A run of {subject.method} predicts no depth, flow or classes; what it trained is a backbone. "
        "Export that with --part backbone."
    )


_MEANS = {"scale": "right up to a factor", "scale_shift": "right up to a factor and a shift"}


def by_plans(graph: Graph, attempt: Callable[[Any, Plan], T]) -> tuple[T, Plan, str]:
    """Return what ``attempt`` makes of the network with as much left open as possible.

    Args:
        graph: the network.
        attempt: takes an ``ExportedProgram`` and what varies in it; raises where something cannot be done or
            comes out otherwise.

    Returns:
        What it made, what varies, and why no more does (empty where everything does).

    Raises:
        ConfigError: nothing can be made of it.
    """
    why = ""
    for plan in (Plan(True, True), Plan(True, False), Plan(False, False)):
        if plan.size and (why := _why_one_size(graph)):
            continue
        try:
            with quiet():
                return attempt(_followed(graph, plan), plan), plan, why
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of every kind, from three libraries
            why = why or reason(error).partition("! For more")[0]
    raise ConfigError(f"This network cannot be exported: {why}. Use --format safetensors.")


def _why_one_size(graph: Graph) -> str:
    """Return why a network is not even tried with sizes left open, empty where it is.

    Transformers that attend within windows pad the image to whole windows in every stage; followed with
    symbols, the sizes become sums that take hours to simplify.
    """
    if any(hasattr(module, "window_size") for module in graph.module.modules()):
        return "it attends within windows, whose padding depends on the size"
    if graph.multiple > COARSEST_MULTIPLE:
        return f"its sides must be multiples of {graph.multiple} px"
    return ""


def _followed(graph: Graph, plan: Plan) -> Any:
    """Return the network as an ``ExportedProgram``."""
    with torch.no_grad(), _whole_numbers():
        return torch.export.export(
            graph.module,
            (plan.examples(graph)[-1],),
            dynamic_shapes=(plan.shapes(graph),),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextmanager
def _whole_numbers() -> Iterator[None]:
    """Let timm's SAME padding be reckoned in whole numbers, which gives the same.

    It divides in floating point and rounds up; of a size that is a symbol no padding is known then, though it
    is a constant where the stride divides the size.
    """
    from timm.layers import padding

    def whole(x: Any, kernel_size: int, stride: int, dilation: int) -> Any:
        return max((-(-x // stride) - 1) * stride + (kernel_size - 1) * dilation + 1 - x, 0)

    kept = padding.get_same_padding
    padding.get_same_padding = whole
    try:
        yield
    finally:
        padding.get_same_padding = kept


@torch.no_grad()
def largest_difference(
    graph: Graph, plan: Plan, run: Callable[[Tensor], Sequence[Tensor]]
) -> tuple[float, str]:
    """Return the largest difference between a network and what was made of it, and on what it was measured.

    Raises:
        ValueError: it is larger than TOLERANCE.
    """
    worst, inputs = 0.0, plan.examples(graph)
    for images in inputs:
        for name, expected, found in zip(graph.outputs, graph.module(images), run(images), strict=True):
            if found.shape != expected.shape:
                raise ValueError(f"{name} is {tuple(found.shape)} and not {tuple(expected.shape)}")
            difference = (found - expected).abs().max().item()
            if not difference <= TOLERANCE * expected.abs().max().item():  # also where it is not a number
                raise ValueError(f"{name} differs by {difference:.3g} from what PyTorch computes")
            worst = max(worst, difference)
    shapes = dict.fromkeys(f"{len(x)} of {x.shape[-2]}x{x.shape[-1]}" for x in inputs)
    return worst, ", ".join(shapes)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and reports of exporters off the screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
