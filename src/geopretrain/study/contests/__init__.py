"""The transfers that initialisations are compared on, by name; a new one is a class and a line here."""

from geopretrain.study.contests.base import Contest
from geopretrain.study.contests.depth import DepthContest, VideoDepthContest
from geopretrain.study.contests.detection import DetectionContest
from geopretrain.study.contests.segmentation import SegmentationContest

CONTESTS: dict[str, Contest] = {
    one.task: one for one in (SegmentationContest(), DetectionContest(), DepthContest())
}


WITHOUT_LABELS = VideoDepthContest()


def contest_of(task: str, supervision: str = "labels") -> Contest:
    """Return what a task is to a comparison, and to one whose networks learn from video without labels."""
    return WITHOUT_LABELS if task == WITHOUT_LABELS.task and supervision != "labels" else CONTESTS[task]


__all__ = ["CONTESTS", "Contest", "contest_of"]
