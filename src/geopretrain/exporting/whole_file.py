"""``safetensors``: the whole network in one file, with all that is needed to build it again."""

from __future__ import annotations

import json

from geopretrain.errors import WeightsError
from geopretrain.exporting.formats import PATH, Request, Written
from geopretrain.exporting.metadata import about
from geopretrain.exporting.subject import Subject
from geopretrain.runs.loading import load_file
from geopretrain.weights import export_state, save_tensors

LOADS = """\
import geopretrain as gp

model = gp.load("{path}")
prediction = model.predict("street.jpg")  # at the size of the picture"""


def write(subject: Subject, request: Request) -> Written:
    """Write every tensor of the task, and build it again from the file.

    Raises:
        WeightsError: what was written does not give the same network.
    """
    state = export_state(subject.task)
    told = {**about(subject), "results": json.dumps(dict(subject.results))}
    save_tensors(request.target, state, told)
    again = export_state(load_file(request.target)[0])
    different = [name for name, tensor in state.items() if not tensor.equal(again[name])]
    if different:
        raise WeightsError(f"{len(different)} tensors came back changed, e.g. {different[0]}.")
    return Written(
        (request.target,),
        LOADS.format(path=PATH),
        f"It was built again from the file; all {len(state)} tensors are the same.",
    )
