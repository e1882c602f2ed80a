"""What a training step costs: the constants of `geopretrain.recipes.estimates`, measured.

    python benchmarks/recipe_costs.py                    # everything, some twenty minutes of one core
    python benchmarks/recipe_costs.py resnet18 monodepth # these rows alone

Each row is a process of its own: two trainings of few and of more steps, whose difference in processor time
is that of the steps; the highest memory of the process; and the size of the run folder without checkpoints.
Backbones are measured with `finetune segmentation`, methods with ResNet-18.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE, BATCH, FEW, MORE = (96, 320), 4, 2, 6
VIDEO = "synthetic:street?frames=24&worlds=1&seed=5&height=96&width=320"
LABELLED = "synthetic:street?train=8&val=2&test=2&seed=5"
PRETRAINED = (
    *("monodepth", "depth_supervised", "optical_flow", "inpainting", "dino", "moco", "segmentation"),
    *("simmim", "scdepth", "geometric_flow"),
)
METHODS = [*PRETRAINED, "finetune depth", "finetune detection"]
BACKBONES = (
    *("tf_efficientnet_lite0", "resnet18", "resnet50", "test_resnet", "test_vit"),
    *("vit_small_patch14_dinov2", "swinv2_tiny_window8_256", "geopretrain_swinv2_mini"),
)


def train(name: str, steps: int, folder: Path) -> Path:
    import geopretrain as gp

    out = folder / f"run{steps}"
    common = {"steps": steps, "batch_size": BATCH, "out": out, "preset": "tiny", "threads": 1}
    common["progress"] = False
    if name in PRETRAINED:
        data = LABELLED if name == "segmentation" else VIDEO
        gp.pretrain(name, data=data, size=SIZE, backbone="resnet18", **common)
    elif name == "finetune depth":
        common["preset"] = "short"
        gp.finetune_depth(data=VIDEO, size=SIZE, supervision="labels", backbone="resnet18", **common)
    elif name == "finetune detection":
        gp.finetune_detection(data=LABELLED, size=SIZE, backbone="resnet18", curve_points=1, **common)
    else:
        gp.finetune_segmentation(data=LABELLED, size=SIZE, backbone=name, curve_points=1, **common)
    return out


def measure(name: str) -> dict[str, float | str]:
    with tempfile.TemporaryDirectory() as folder:
        train(name, 1, Path(folder))
        took = {}
        for steps in (FEW, MORE):
            begin = time.process_time()
            out = train(name, steps, Path(folder))
            took[steps] = time.process_time() - begin
        megapixels = BATCH * SIZE[0] * SIZE[1] / 1e6
        seconds = (took[MORE] - took[FEW]) / (MORE - FEW) / megapixels
        files = [file for file in out.rglob("*") if file.is_file() and "checkpoints" not in file.parts]
        return {
            "name": name,
            "seconds for a sample and megapixel": round(seconds, 2),
            "peak, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
            "run folder, MB": round(sum(file.stat().st_size for file in files) / 1e6),
        }


def main(names: list[str]) -> None:
    for name in names or [*BACKBONES, *METHODS]:
        done = subprocess.run([sys.executable, __file__, "--one", name], stdout=subprocess.PIPE, text=True)
        print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else f"{name}: failed", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:])
