"""What the first weights of an encoder know, kept while it learns something else.

Hoyer et al., *Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation*, CVPR 2021,
section 3.1: depth is learned with the encoder held still first, then with a distance to the features of its
ImageNet weights in the loss. Li et al., *Explicit Inductive Bias for Transfer Learning with Convolutional
Networks*, ICML 2018 (L2-SP): a pull towards the first weights themselves.

Our choice: the distance of features is relative, so that a weight means the same for every backbone, image
size and batch; the released code of Hoyer et al. has the Frobenius norm of the difference of the last
features, times 0.01, for a ResNet-101 and 4 windows of 512x512.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from geopretrain.errors import OptionError
from geopretrain.networks import Backbone
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.presets import NOTHING_KEPT
from geopretrain.training.settings import LoopSettings

_OF_LEARNING = ("backbone_from", "feature_distance", "l2_sp")


def check_preserving(task: Task, settings: LoopSettings, *, from_random: bool) -> None:
    """Make sure that what is to be kept of the first weights can be.

    Args:
        task: before training.
        settings: of the loop.
        from_random: whether the encoder begins with random numbers.

    Raises:
        OptionError: there is nothing to keep, or no way to.
    """
    asked = [name for name, off in NOTHING_KEPT.items() if getattr(settings, name) != off]
    if asked in ([], ["backbone_lr"]) and settings.backbone_lr:  # a slower one suits random numbers, too
        return
    option, backbone = asked[-1], task.backbone
    if from_random:
        raise OptionError(
            option,
            "keeps what the first weights of the backbone know, and random numbers know nothing. Leave it "
            "away, or start from weights: --init imagenet, a run or a file.",
        )
    if backbone is None or not any(p.requires_grad for p in backbone.parameters()):
        raise OptionError(option, "holds a backbone that learns, and here it stands still already.")
    if settings.backbone_lr == 0 and (idle := [name for name in asked if name in _OF_LEARNING]):
        raise OptionError(
            idle[0],
            "is of a backbone that learns, and with --backbone-lr 0 it stands still all the time. Leave one "
            "of them away.",
        )
    if settings.strategy == "fsdp" and settings.l2_sp:
        raise OptionError("l2_sp", "needs the whole network on each device: use --strategy ddp.")


def rated(groups: list[dict[str, Any]], backbone: Backbone | None, factor: float) -> list[dict[str, Any]]:
    """Return groups of the optimiser in which the backbone learns at ``factor`` times its rate.

    No group holds parameters of the backbone and others; ``of_backbone`` says which.
    """
    own = set() if backbone is None else {id(p) for p in backbone.parameters()}
    found = []
    for group in groups:
        for inside in (True, False):
            if params := [p for p in group["params"] if (id(p) in own) == inside]:
                rate = group["lr"] * (factor if inside else 1.0)
                found.append({**group, "params": params, "lr": rate, "of_backbone": inside})
    return found


class Anchor:
    """The backbone as it began, and what holds the one that learns near it.

    Args:
        task: with its first weights, on its device.
        settings: of the loop.
    """

    def __init__(self, task: Task, settings: LoopSettings) -> None:
        self.settings = settings
        self.first: Backbone | None = None
        if task.backbone is not None and (settings.feature_distance or settings.l2_sp):
            self.first = copy.deepcopy(task.backbone).requires_grad_(False).eval()
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._hook: RemovableHandle | None = None
        self._backbone: Backbone | None = None
        self._learning: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []

    @contextmanager
    def holding(self, backbone: Backbone | None) -> Iterator[None]:
        """Hold the backbone that learns; afterwards it is without anything that holds it."""
        if backbone is not None:
            self._hold(backbone)
        try:
            yield
        finally:
            self._let_go()

    def _hold(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._learning = [p for p in backbone.parameters() if p.requires_grad]
        self._norms = [
            module
            for module in backbone.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        ]
        if self.settings.backbone_lr == 0:
            backbone.requires_grad_(False)
        if self.settings.feature_distance:
            self._hook = backbone.register_forward_hook(self._look)

    def _let_go(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        for parameter in self._learning:
            parameter.requires_grad_(True)
        self._seen, self._learning, self._norms = [], [], []

    def before_forward(self, step: int) -> None:
        """Let stand still what does in ``step`` (0-based), and learn what does not any more."""
        settings, waits = self.settings, step < self.settings.backbone_from
        self._seen = []
        if settings.backbone_from and settings.backbone_lr and settings.processes == 1:
            for parameter in self._learning:  # several processes have to give all gradients to each other
                parameter.requires_grad_(not waits)
        still = waits or settings.freeze_norms or settings.backbone_lr == 0
        if still or settings.backbone_from:
            for norm in self._norms:
                norm.train(not still)

    def before_update(self, step: int) -> None:
        """Forget the gradients of a backbone that stands still in ``step`` (0-based)."""
        if step < self.settings.backbone_from:
            for parameter in self._learning:
                parameter.grad = None

    def loss(self) -> tuple[Tensor | None, Logs]:
        """Return what is added to the loss of the part that was just computed, None where nothing is.

        Raises:
            OptionError: the method does not show whole images to its backbone.
        """
        total, logs = None, {}
        if self.settings.feature_distance:
            distance = self._feature_distance()
            total, logs["feature_distance"] = self.settings.feature_distance * distance, distance.detach()
        if self.settings.l2_sp:
            squared = self._squared_distance()
            pull = self.settings.l2_sp / 2 * squared
            total, logs["l2_sp"] = pull if total is None else total + pull, pull.detach()
        return total, logs

    def _look(self, module: nn.Module, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
        if module.training:
            self._seen.append((inputs[0], output[-1]))

    def _feature_distance(self) -> Tensor:
        """Return how far the last features are from the first ones, relative to these; mean over calls."""
        if not self._seen or self.first is None:
            raise OptionError(
                "feature_distance",
                "compares features of whole images, and here none are asked of the backbone (patches are "
                "hidden, or it gives one vector of each image or its blocks). --l2-sp holds the weights "
                "instead.",
            )
        distances = []
        for images, features in self._seen:
            with torch.no_grad():
                first = self.first(images)[-1].float()
            norm = torch.linalg.vector_norm
            distances.append(norm(features.float() - first) / norm(first).clamp(min=1e-12))
        return torch.stack(distances).mean()

    def _squared_distance(self) -> Tensor:
        """Return the sum of squared differences of the weights that learn from the first ones."""
        if self.first is None or self._backbone is None:
            raise RuntimeError("no first weights are kept")
        first = dict(self.first.named_parameters())
        pairs = [(p, first[name]) for name, p in self._backbone.named_parameters() if p.requires_grad]
        if not pairs:  # it waits
            return torch.zeros((), device=self._backbone.mean.device)
        return torch.stack([(p.float() - one.float()).square().sum() for p, one in pairs]).sum()

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint needs to go on: the first backbone."""
        return {} if self.first is None else dict(self.first.state_dict())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take it back."""
        if self.first is not None:
            self.first.load_state_dict(state)
