"""``torch-export``: the network as a program of torch.export, read again and compared before it counts."""

from __future__ import annotations

import io
from typing import Any

import torch

from geopretrain.exporting.formats import PATH, Request, Written
from geopretrain.exporting.graph import Plan, by_plans, graph_of, largest_difference
from geopretrain.exporting.metadata import about
from geopretrain.exporting.onnx_file import notes
from geopretrain.exporting.subject import Subject
from geopretrain.files import atomic_path

LOADS = """\
import torch

model = torch.export.load("{path}").module()
outputs = model({input})"""


def write(subject: Subject, request: Request) -> Written:
    """Write a network with its normalisation inside: floats in [0, 1] go in.

    Raises:
        ConfigError: the network cannot be exported.
    """
    graph = graph_of(subject, request.part, request.size)
    with atomic_path(request.target) as temporary:

        def attempt(program: Any, plan: Plan) -> tuple[float, str]:
            for node in (node for module in _graphs(program) for node in module.graph.nodes):
                node.meta.pop("stack_trace", None)  # lines of source files, with their folders
            content = io.BytesIO()
            torch.export.save(program, content, extra_files=about(subject))
            content.seek(0)
            found = largest_difference(graph, plan, torch.export.load(content).module())
            temporary.write_bytes(content.getvalue())
            return found

        (difference, where), plan, why = by_plans(graph, attempt)
    return Written(
        (request.target,),
        LOADS.format(path=PATH, input=graph.input),
        f"It was read again and run on {where} px; the largest difference is {difference:.2g}.",
        notes(graph, plan, why),
    )


def _graphs(program: Any) -> list[torch.fx.GraphModule]:
    return [module for module in program.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
