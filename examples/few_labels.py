"""The whole job in Python, on synthetic worlds: does pre-training on video help when there are few labels?

python examples/few_labels.py            # some minutes on a laptop; everything goes to ./few-labels
"""

from __future__ import annotations

from pathlib import Path

import geopretrain as gp


def main(
    out: str | Path = "few-labels",
    video: str = "synthetic:street?frames=120&seed=1",  # or drive.mp4, a folder of images, KITTI, ...
    labelled: str = "synthetic:street",  # or a folder with images/, labels/ and classes.txt
    backbone: str = "resnet18",
    size: tuple[int, int] = (96, 160),
    steps: int = 600,
    labels: int = 16,
    seeds: int = 3,
) -> str:
    """Prepare, pre-train, compare, fine-tune once more and predict; return the sentence that came out."""
    out = Path(out)
    store = gp.prepare([video], out / "store", size=size)
    print(f"{len(store.train_samples)} triplets to learn from")

    run = gp.pretrain("monodepth", data=out / "store", out=out / "depth", backbone=backbone, steps=steps)
    print(f"The backbone is in {run.path / 'backbone.safetensors'}, its pictures in {run.path / 'figures'}.")

    # the same labels, seeds and budget for both; the difference with its 95 % interval
    comparison = gp.compare(
        inits=["random", run.path],
        data=labelled,
        labels=labels,
        seeds=seeds,
        steps=steps,
        size=size,
        modes="full",
        out=out / "comparison",
    )
    print(comparison.table())

    # one network to keep, and what it sees
    kept = gp.finetune_segmentation(
        data=labelled, init=run.path, labels=labels, steps=steps, size=size, out=out / "segmentation"
    )
    gp.predict(kept.path, video, out=out / "pictures", every=10)
    return comparison.sentence


if __name__ == "__main__":
    print(main())
