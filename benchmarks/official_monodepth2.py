"""Drives an unchanged checkout of the released Monodepth2 on a current torch, torchvision and Pillow.

Nothing of it is copied: its modules are imported from the checkout, and what they expect of old libraries is
put in their place at run time.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torchvision
from torch import Tensor

MODULES = ("trainer", "options", "layers", "networks", "utils", "kitti_utils", "datasets")
FRAMES = (0, -1, 1)


def import_official(checkout: Path) -> dict[str, types.ModuleType]:
    """Import the checkout's modules with stand-ins for what is gone.

    Raises:
        FileNotFoundError: the folder is no checkout of Monodepth2.
    """
    if not (checkout / "trainer.py").is_file():
        raise FileNotFoundError(f"{checkout} holds no trainer.py: give a checkout of Monodepth2.")
    sys.path.insert(0, str(checkout))
    try:
        with mock.patch.dict(sys.modules, _stand_ins()):
            modules = {name: importlib.import_module(name) for name in ("trainer", "options", "networks")}
            for name in [n for n in sys.modules if n.split(".")[0] in MODULES]:
                modules[name] = sys.modules[name]
    finally:
        sys.path.remove(str(checkout))
    encoder = modules["networks.resnet_encoder"]
    encoder.models = _Torchvision()
    # the positions are normalised for align_corners=True, the default of the torch that the authors used
    modules["trainer"].F = _Functional()
    return modules


def _stand_ins() -> dict[str, types.ModuleType]:
    """Modules which the training step does not need."""
    absent = {"tensorboardX": "SummaryWriter", "IPython": "embed", "datasets": "KITTIRAWDataset"}
    stand_ins = {}
    for name, attribute in absent.items():
        stand_ins[name] = types.ModuleType(name)
        setattr(stand_ins[name], attribute, None)
    return stand_ins


class _Torchvision:
    """``torchvision.models`` as it was: ``resnet18(pretrained)``."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(torchvision.models, name)
        if name.startswith("resnet") and callable(found):
            return lambda pretrained=False: found(weights=None)
        return found


class _Functional:
    """``torch.nn.functional`` with ``grid_sample`` as it was."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.nn.functional, name)

    @staticmethod
    def grid_sample(*arguments: Any, **options: Any) -> Tensor:
        return torch.nn.functional.grid_sample(*arguments, **{"align_corners": True, **options})


class OfficialStep:
    """The released trainer's networks, losses and optimiser, without its data, logs and arguments.

    Args:
        checkout: folder of the released code.
        size: (height, width).
        batch: samples per step.
        learning_rate: of Adam.
    """

    def __init__(
        self, checkout: Path, size: tuple[int, int], batch: int, learning_rate: float = 1e-4
    ) -> None:
        self.modules = import_official(checkout)
        arguments = [
            "--height",
            str(size[0]),
            "--width",
            str(size[1]),
            "--batch_size",
            str(batch),
            "--no_cuda",
        ]
        options = self.modules["options"].MonodepthOptions().parser.parse_args(arguments)
        self.trainer = trainer = object.__new__(self.modules["trainer"].Trainer)
        trainer.opt, trainer.device = options, torch.device("cpu")
        trainer.num_scales, trainer.num_input_frames, trainer.num_pose_frames = 4, 3, 2
        trainer.use_pose_net = True
        trainer.models = self._networks()
        parameters = [p for model in trainer.models.values() for p in model.parameters()]
        trainer.model_optimizer = torch.optim.Adam(parameters, learning_rate)
        trainer.ssim = self.modules["layers"].SSIM()
        layer = (batch, *size)
        trainer.backproject_depth = {0: self.modules["layers"].BackprojectDepth(*layer)}
        trainer.project_3d = {0: self.modules["layers"].Project3D(*layer)}
        trainer.set_train()

    def _networks(self) -> dict[str, torch.nn.Module]:
        networks = self.modules["networks"]
        encoder = networks.ResnetEncoder(18, False)
        pose_encoder = networks.ResnetEncoder(18, False, num_input_images=2)
        return {
            "encoder": encoder,
            "depth": networks.DepthDecoder(encoder.num_ch_enc, range(4)),
            "pose_encoder": pose_encoder,
            "pose": networks.PoseDecoder(pose_encoder.num_ch_enc, 1, 2),
        }

    def loss(self, inputs: dict[Any, Tensor]) -> Tensor:
        """Return the loss of one batch."""
        return self.trainer.process_batch(inputs)[1]["loss"]

    def step(self, inputs: dict[Any, Tensor]) -> None:
        """Do one optimisation step."""
        loss = self.loss(inputs)
        self.trainer.model_optimizer.zero_grad()
        loss.backward()
        self.trainer.model_optimizer.step()

    def save(self, folder: Path) -> None:
        """Write the weights as the released code does."""
        for name, model in self.trainer.models.items():
            torch.save(model.state_dict(), folder / f"{name}.pth")

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote."""
        for name, model in self.trainer.models.items():
            model.load_state_dict(torch.load(folder / f"{name}.pth", weights_only=True))


def official_inputs(images: Tensor, intrinsics: Tensor, scales: int = 4) -> dict[Any, Tensor]:
    """Turn frames ``B F 3 H W`` (target first) and intrinsics ``B 3 3`` into what the trainer reads."""
    inputs: dict[Any, Tensor] = {}
    for index, frame in enumerate(FRAMES):
        image = images[:, index].contiguous()
        inputs["color_aug", frame, 0] = image
        for scale in range(scales):
            inputs["color", frame, scale] = image
            image = torch.nn.functional.interpolate(image, scale_factor=0.5, mode="area")
    matrix = torch.eye(4).repeat(len(images), 1, 1)
    matrix[:, :3, :3] = intrinsics
    inputs["K", 0], inputs["inv_K", 0] = matrix, torch.linalg.inv(matrix)
    return inputs


@contextlib.contextmanager
def without_noise() -> Iterator[Callable[..., Tensor]]:
    """Set the random numbers that break ties to zero."""
    with mock.patch.object(torch, "randn", lambda *shape, **options: torch.zeros(*shape, **options)) as zeros:
        yield zeros
