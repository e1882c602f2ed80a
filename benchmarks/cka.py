"""Seconds to compare all layers of two networks (CKA), ours beside the package torch_cka, on the same images.

torch_cka computes the same estimate, one pair of layers after the other. It is no part of geopretrain's
requirements: `pip install --no-deps --target FOLDER torch-cka`, then --reference FOLDER.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from geopretrain.analysis.cka import MinibatchCKA
from geopretrain.analysis.layers import chosen_layers, samples_of
from geopretrain.networks import Backbone


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print one line of a table for each number of layers."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    networks = [Backbone(options.backbone).eval() for _ in range(2)]
    brightness = torch.rand(options.images, 1, 1, 1)  # or all are nearly alike, and float32 shows
    batches = (brightness * torch.rand(options.images, 3, *options.size)).split(options.batch_size)
    layers = chosen_layers(networks[0], options.layers, batches[0][:2])
    print("| layers | images | ours, s | torch_cka, s | ratio | largest difference | peak, GB |")
    print("|---|---|---|---|---|---|---|")
    for count in options.counts:
        some = dict(list(layers.items())[:: max(1, len(layers) // count)][:count])
        ours, found = _timed(partial(_ours, networks, batches, some))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        row = [str(len(some)), str(options.images), f"{ours:.1f}"]
        if options.reference and len(some) <= options.most:
            theirs, wanted = _timed(partial(_theirs, networks, batches, some, options))
            row += [
                f"{theirs:.1f}",
                f"{theirs / ours:.1f}",
                f"{float((found - wanted).abs().nan_to_num().max()):.1e}",
            ]
        else:
            row += ["", "", ""]
        print(f"| {' | '.join([*row, f'{peak:.1f}'])} |", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--layers", nargs="*", default=["*"])
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 40, 300])
    parser.add_argument("--most", type=int, default=300, help="layers that torch_cka still compares")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=[64, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reference", default="", help="folder that torch_cka is installed into")
    return parser.parse_args(arguments)


def _timed(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def _ours(networks: list[Backbone], batches: Sequence[Tensor], layers: dict[str, str]) -> Tensor:
    sums = MinibatchCKA()
    for batch in batches:
        first, second = (samples_of(network, batch, layers, "flattened", 1) for network in networks)
        sums.update(first, second)
    return sums.compute()


def _theirs(
    networks: list[Backbone], batches: Sequence[Tensor], layers: dict[str, str], options: argparse.Namespace
) -> Tensor:
    """Compare with torch_cka, without its pictures and progress."""
    sys.path.insert(0, options.reference)
    reference = importlib.import_module("torch_cka")
    names = list(layers.values())
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        first, second = (network.model for network in networks)
        compared = reference.CKA(first, second, "a", "b", model1_layers=names, model2_layers=names)
        images = torch.cat([networks[0].as_seen(batch) for batch in batches])
        loader = DataLoader(TensorDataset(images, torch.zeros(len(images))), batch_size=len(batches[0]))
        compared.compare(loader, loader)
        return torch.as_tensor(compared.export()["CKA"]).double()


if __name__ == "__main__":
    main()
