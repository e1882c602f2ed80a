"""The command lines that follow from an advice."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from geopretrain.advice.labels import Labels
from geopretrain.advice.video import Video
from geopretrain.wording import sides

SEEDS, SUBSETS, TO_LABEL = 6, 3, 16
HANDFUL = 8
"""Labelled images up to which ImageNet's encoder is better frozen under a decoder of segmentation: it was
with 4 (+2.8 [1.8, 3.8] points of mIoU), and made no difference with 16 (docs/results/what-helps.md)."""


@dataclass(frozen=True)
class Plan:
    """What command lines are made of.

    Attributes:
        video: as the user named it.
        labelled: the same.
        labels: facts of it.
        backbone: timm model.
        start: initialisation to begin with.
        frames: of the video that may be labelled.
        run: finished run that is asked about, None where there is none.
        size: (height, width) px that the user wants labelled images read at, None: their own.
    """

    video: str
    labelled: str
    labels: Labels
    backbone: str
    start: str
    frames: int
    run: str | None = None
    size: tuple[int, int] | None = None

    def finetune(self, init: str, out: str) -> str:
        """Return the fine-tuning from an initialisation."""
        supervised = ["--supervision", "labels"] if self.labels.task == "depth" else []
        few = ["--labels", str(self.labels.wanted)] if self.labels.wanted < self.labels.train else []
        return self._line(
            "finetune", self.labels.task, *supervised, "--data", self.labelled, "--init", init,
            *self._backbone(), *few, *self._sized(), *self._with_decoder(init), *self._frozen(init),
            "--out", out,
        )  # fmt: skip

    @property
    def freezes(self) -> bool:
        """Whether the labels are so few that the encoder to begin with is better left as it is."""
        few = self.labels.wanted <= HANDFUL and self.labels.task == "segmentation"
        return few and self.start == "imagenet"

    def _frozen(self, init: str) -> list[str]:
        return ["--mode", "frozen"] if self.freezes and init == self.start else []

    def pretrain(self, method: str, out: str) -> str:
        """Return the pre-training by a method with its options, as text."""
        probe = ["--probe", self.labelled] if self.labels.task == "segmentation" else []
        return self._line(
            "pretrain", *shlex.split(method), "--data", self.video, "--init", self.start,
            *self._backbone(), *probe, "--out", out,
        )  # fmt: skip

    def compare(self, run: str, out: str = "runs/compared") -> str:
        """Return the comparison of a run with the beginning."""
        task = [] if self.labels.task == "segmentation" else ["--task", self.labels.task]
        several = ["--subsets", str(SUBSETS)] if self.labels.wanted < self.labels.train else []
        return self._line(
            "compare", *task, "--inits", f"{self.start},{run}", *self._backbone(), "--data", self.labelled,
            "--labels", str(self.labels.wanted), "--seeds", str(SEEDS), *several, *self._sized(),
            *self._with_decoder(run), "--out", out,
        )  # fmt: skip

    def select(self, out: str) -> str:
        """Return the choice of frames to label next."""
        return self._line(
            "data", "select", self.video, "--init", self.start, *self._backbone(),
            "--labels", str(min(TO_LABEL, self.frames)), "--out", out,
        )  # fmt: skip

    def _with_decoder(self, init: str) -> list[str]:
        """Return what hands the depth decoder of a run over, where most of what it knows of depth lies."""
        handed = self.labels.task == "depth" and init != self.start
        return ["--settings", "head=multiscale"] if handed else []

    def _backbone(self) -> list[str]:
        return ["--backbone", self.backbone]

    def _sized(self) -> list[str]:
        return ["--size", sides(self.size)] if self.size is not None else []

    @staticmethod
    def _line(*words: str) -> str:
        return shlex.join(["geopretrain", *words])


def geometric_method(video: Video, backbone: str) -> tuple[str, str]:
    """Return the method of geometry that suits a video with its options, and why."""
    if video.mostly_turns:
        return (
            f"scdepth --settings version=2 pose_backbone={backbone}",
            "the camera mostly turns, which SC-Depth V2 takes out",
        )
    if not video.camera_known:
        return "geometric_flow", "not every camera is known, and this method needs none"
    return "monodepth", "the camera is known"
