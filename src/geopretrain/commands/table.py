"""The table of commands: what each calls, its options, what is said of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REPEAT = "Repeat the command to continue; what is finished is kept."
AGAIN = "Nothing was changed; repeat the command."
RESUME = "resume"


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    Attributes:
        target: ``module:function`` it calls.
        options: name of the class of its options in ``geopretrain.config.options``, or ``module:name`` of it
            in another module there.
        summary: what it does, in a line.
        shows: what is printed of the returned value; None = the function has said everything.
        fails: whether the returned value is bad news, for which the exit code is 2.
        continues: how to go on after an interruption.
    """

    target: str
    options: str
    summary: str
    shows: Callable[[Any], str] | None = None
    fails: Callable[[Any], bool] = lambda result: False
    continues: str = ""

    def function(self) -> Callable[..., Any]:
        """Import what the command calls."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)

    def options_class(self) -> type:
        """Import the class of its options, which is all that help needs."""
        module, _, name = self.options.rpartition(":")
        return getattr(importlib.import_module(f"geopretrain.config.{module or 'options'}"), name)


COMMANDS = {
    "data inspect": Command(
        "geopretrain.commands.inspect:inspect",
        "data_options:InspectOptions",
        "say in words what a video, folder or data set is and whether it is fit for training",
        shows=lambda inspection: inspection.text(),
        continues=AGAIN,
    ),
    "data list": Command(
        "geopretrain.commands.data_sets:data_list",
        "data_options:DataListOptions",
        "list the data sets that are known by name, what each needs and where it is had",
        shows=lambda listing: listing.text(),
        continues=AGAIN,
    ),
    "data check": Command(
        "geopretrain.commands.data_sets:data_check",
        "data_options:DataCheckOptions",
        "verify a copy of a data set and say in words what is missing",
        shows=lambda report: report.text(),
        fails=lambda report: not report.whole,
        continues=AGAIN,
    ),
    "data prepare": Command(
        "geopretrain.commands.prepare:prepare",
        "data_options:PrepareOptions",
        "decode videos once and pick frames by measured motion into a store",
        continues=REPEAT,
    ),
    "data pseudo-depth": Command(
        "geopretrain.commands.pseudo_depth:pseudo_depth",
        "data_options:PseudoDepthOptions",
        "let a depth model look at every frame of a store, for methods that learn from its depth",
        continues=REPEAT,
    ),
    "data upload": Command(
        "geopretrain.commands.upload:upload",
        "data_options:UploadOptions",
        "send a store in shards to object storage or another disk, where many machines read it",
        continues=REPEAT,
    ),
    "data select": Command(
        "geopretrain.commands.select:select",
        "data_options:SelectOptions",
        "choose the frames of a video that are worth labelling first",
        continues=AGAIN,
    ),
    "data propagate": Command(
        "geopretrain.commands.propagate:propagate",
        "data_options:PropagateOptions",
        "carry the labels of images to neighbouring frames of their video",
        continues=AGAIN,
    ),
    "advise": Command(
        "geopretrain.commands.advise:advise",
        "advise_options:AdviseOptions",
        "say in words whether pre-training on a video is likely to pay for labelled data, and why",
        shows=lambda advice: advice.printed(),
        continues=AGAIN,
    ),
    "analyse cka": Command(
        "geopretrain.commands.analyse_cka:analyse_cka",
        "analysis_options:CkaOptions",
        "measure how alike the layers of one network, or of two, see the same images",
        continues=AGAIN,
    ),
    "analyse activations": Command(
        "geopretrain.commands.analyse_activations:analyse_activations",
        "analysis_options:ActivationsOptions",
        "show where a layer holds what runs predict (Grad-CAM), beside their predictions",
        continues=AGAIN,
    ),
    "analyse features": Command(
        "geopretrain.commands.analyse_features:analyse_features",
        "analysis_options:FeaturesOptions",
        "probe the features of initialisations without training them, and tell how far weights have moved",
        continues=AGAIN,
    ),
    "pretrain": Command(
        "geopretrain.commands.pretrain:pretrain",
        "PretrainOptions",
        "pre-train a backbone on unlabelled video",
        continues=RESUME,
    ),
    "finetune segmentation": Command(
        "geopretrain.commands.finetune_segmentation:finetune_segmentation",
        "FinetuneSegmentationOptions",
        "fine-tune a backbone with few labelled images",
        continues=RESUME,
    ),
    "finetune depth": Command(
        "geopretrain.commands.finetune_depth:finetune_depth",
        "FinetuneDepthOptions",
        "train a depth network from any initialisation, without labels or on measured depth, and score it",
        continues=RESUME,
    ),
    "finetune detection": Command(
        "geopretrain.commands.finetune_detection:finetune_detection",
        "FinetuneDetectionOptions",
        "fine-tune a backbone to find objects (boxes and masks) with few labelled images",
        continues=RESUME,
    ),
    "evaluate": Command(
        "geopretrain.commands.evaluate:evaluate",
        "EvaluateOptions",
        "score predicted depth, flow or classes against what is known, under a named protocol",
        continues=AGAIN,
    ),
    "compare": Command(
        "geopretrain.commands.compare:compare",
        "CompareOptions",
        "fine-tune several initialisations with shared splits and seeds, and report what differs",
        continues=REPEAT,
    ),
    "report": Command(
        "geopretrain.commands.report:make_report",
        "analysis_options:ReportOptions",
        "write one page about the comparisons, runs and recipes in a folder, also while they train",
        shows=lambda page: f"The report is {page}.",
        continues="A page that was written stays as it was last; repeat the command to go on watching.",
    ),
    "predict": Command(
        "geopretrain.commands.predict:predict",
        "run_options:PredictOptions",
        "show what a run sees in images or videos",
        continues="Finished pictures stay. Repeat the command, with --overwrite where some are there.",
    ),
    "recipes": Command(
        "geopretrain.recipes.listing:recipes",
        "RecipesOptions",
        "list the tables of papers that can be made anew, or show one of them whole",
        shows=str,
        continues=AGAIN,
    ),
    "reproduce": Command(
        "geopretrain.recipes.reproduce:reproduce",
        "ReproduceOptions",
        "make a table of a paper anew, as one command: all stages, rows and seeds, and a report",
        shows=lambda done: done.text(),
        continues=REPEAT,
    ),
    "replay": Command(
        "geopretrain.commands.replay:replay",
        "run_options:ReplayOptions",
        "compute the step again in which a training stopped being numbers, and say where",
        shows=lambda found: found.text(),
        continues=AGAIN,
    ),
    "export": Command(
        "geopretrain.commands.export:export",
        "run_options:ExportOptions",
        "write a run in the format of another library: timm, torchvision, Monodepth2, ONNX, the hub, ...",
        continues="Repeat the command, with --overwrite where a file is there.",
    ),
    "demo": Command(
        "geopretrain.recipes.demo:demo",
        "DemoOptions",
        "run the main job on built-in synthetic worlds and open its report",
        shows=lambda report: f"The report is {report}.",
        continues=REPEAT,
    ),
}
