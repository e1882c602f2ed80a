"""The transfers that initialisations are compared on, by name; a new one is a class and a line here."""

from geopretrain.study.contests.base import Contest
from geopretrain.study.contests.depth import DepthContest
from geopretrain.study.contests.detection import DetectionContest
from geopretrain.study.contests.segmentation import SegmentationContest

CONTESTS: dict[str, Contest] = {
    one.task: one for one in (SegmentationContest(), DetectionContest(), DepthContest())
}


def contest_of(task: str) -> Contest:
    """Return what a task is to a comparison."""
    return CONTESTS[task]


__all__ = ["CONTESTS", "Contest", "contest_of"]
