"""Which numbers a backbone is trained in fastest on a processor: fp32 and bf16 take turns."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from geopretrain.networks import Backbone
from geopretrain.networks.memory_order import use_channels_last
from geopretrain.training.computing import precision_of

BACKBONES = (
    *("tf_efficientnet_lite0", "efficientnet_b0", "mobilenetv2_100", "mobilenetv3_large_100", "ghostnet_100"),
    *("efficientvit_b0", "mobilevit_s", "fastvit_t8", "repvit_m1", "convnext_atto", "convnext_tiny"),
    *("resnet18", "resnext50_32x4d", "regnety_008", "densenet121", "hrnet_w18_small"),
    *("swinv2_tiny_window8_256", "vit_small_patch16_224", "mixer_s16_224"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each backbone and print a table."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    print("| backbone | fp32, ms | bf16, ms | bf16 / fp32 | auto |\n|---|---|---|---|---|")
    for name in options.backbones:
        network = Backbone(name).train()
        use_channels_last(network, "cpu")
        seconds = _measure(network, options)
        fp32, bf16 = (statistics.median(seconds[kind]) for kind in ("fp32", "bf16"))
        chosen = precision_of("auto", "cpu", network)
        print(
            f"| {name} | {1000 * fp32:.0f} | {1000 * bf16:.0f} | {bf16 / fp32:.2f} | {chosen} |", flush=True
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", type=lambda text: text.split(","), default=list(BACKBONES))
    parser.add_argument(
        "--size", type=lambda text: [int(side) for side in text.split("x")], default=[96, 128]
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def _measure(network: Backbone, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return seconds of processor time of each round but the first, which warms up."""
    images = torch.rand(options.batch_size, 3, *options.size).contiguous(memory_format=torch.channels_last)
    found: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for turn in range(options.repeat + 1):
        for kind, seconds in found.items():
            start = time.process_time()
            _step(network, images, kind)
            seconds += [time.process_time() - start] if turn else []
    return found


def _step(network: Backbone, images: Tensor, kind: str) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
        levels = network(images)
    sum(level.float().square().mean() for level in levels).backward()
    network.zero_grad()


if __name__ == "__main__":
    main()
