"""``onnx``: the network as an ONNX file, run by onnxruntime and compared with PyTorch before it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geopretrain.exporting.formats import PATH, Request, Written
from geopretrain.exporting.graph import Graph, Plan, by_plans, graph_of, largest_difference
from geopretrain.exporting.metadata import about
from geopretrain.exporting.subject import Subject
from geopretrain.extras import require_extra
from geopretrain.files import atomic_path

LOADS = """\
import numpy as np, onnxruntime

session = onnxruntime.InferenceSession("{path}")
{outputs} = session.run(None, {{"{input}": {example}}})"""
EXAMPLES = {"images": "images.astype(np.float32)", "frames": "frames.astype(np.float32)"}


def write(subject: Subject, request: Request) -> Written:
    """Write a network with its normalisation inside: floats in [0, 1] go in.

    Raises:
        ConfigError: a library is missing, or the network cannot be exported.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require_extra(module, "onnx", "Exports to ONNX")
    graph = graph_of(subject, request.part, request.size)
    with atomic_path(request.target) as temporary:

        def attempt(program: Any, plan: Plan) -> tuple[float, str]:
            _save(program, graph, temporary, about(subject))
            return largest_difference(graph, plan, _runner(temporary, graph))

        (difference, where), plan, why = by_plans(graph, attempt)
    return Written(
        (request.target,),
        LOADS.format(
            path=PATH,
            input=graph.input,
            outputs=", ".join((*graph.outputs, "")).strip() if len(graph.outputs) == 1 else "features",
            example=EXAMPLES[graph.input],
        ),
        f"onnxruntime has run it on {where} px; the largest difference from PyTorch is {difference:.2g}.",
        notes(graph, plan, why),
    )


def notes(graph: Graph, plan: Plan, why: str) -> tuple[str, ...]:
    """Return what goes in and what comes out, in sentences."""
    shape = "B 2 3 H W" if graph.input == "frames" else "B 3 H W"
    taken = (
        f"`{graph.input}`: `{shape}`, RGB from 0 to 1 (the normalisation is inside); {plan.in_words(graph)}."
    )
    given = [f"`{name}`: {text}." for name, text in zip(graph.outputs, graph.meanings, strict=True)]
    return (taken, *given, *([f"No more can vary: {why}."] if why else []))


def _save(program: Any, graph: Graph, path: Path, metadata: dict[str, str]) -> None:
    """Turn what ``torch.export`` followed into an ONNX file, checked by its own rules."""
    import onnx

    made = torch.onnx.export(
        program, input_names=[graph.input], output_names=list(graph.outputs), verbose=False
    )
    assert made is not None
    made.model.metadata_props.update({name: text for name, text in metadata.items() if name != "format"})
    parts: list[Any] = [made.model.graph, *made.model.functions.values()]
    for part in parts:
        for node in part.all_nodes():
            node.metadata_props.clear()  # lines of source files, with their folders
    made.save(str(path), external_data=False)
    onnx.checker.check_model(str(path))


def _runner(path: Path, graph: Graph) -> Callable[[Tensor], list[Tensor]]:
    """Return a function that runs the file in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        path.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"]
    )

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(found) for found in session.run(None, {graph.input: images.numpy()})]

    return run
