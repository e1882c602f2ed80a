"""``hub-folder``: a folder that timm loads as ``local-dir:PATH``, as it is on the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geopretrain.errors import ConfigError, OptionError, WeightsError
from geopretrain.exporting.formats import PATH, Request, Written
from geopretrain.exporting.metadata import about
from geopretrain.exporting.subject import Subject
from geopretrain.files import write_json
from geopretrain.networks.hub import first_line, why_unreachable
from geopretrain.weights import backbone_state, save_tensors
from geopretrain.weights.timm_model import check_loads, check_plain, plain_model

LOADS = """\
import timm

model = timm.create_model("local-dir:{path}", pretrained=True)
# images in [0, 1] are normalised first: mean {mean}, std {std}, as in model.pretrained_cfg"""
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write(subject: Subject, request: Request) -> Written:
    """Write weights and config.json, and load the folder in timm before it is called done.

    Raises:
        ConfigError: the run has no backbone, or one that plain timm does not know.
        WeightsError: timm makes something else of the folder.
    """
    backbone, folder = subject.backbone, request.target
    check_plain(backbone.name)
    save_tensors(folder / WEIGHTS, backbone_state(backbone), about(subject))
    write_json(folder / CONFIG, _config(subject))
    check_loads(backbone, folder / WEIGHTS)
    _check(subject, folder)
    return Written(
        (folder / WEIGHTS, folder / CONFIG),
        LOADS.format(path=PATH, **backbone.normalisation),
        f"timm has loaded the folder as {backbone.name}; every tensor is the same.",
    )


def _config(subject: Subject) -> dict[str, Any]:
    """Return config.json in the form of timm's hub."""
    backbone = subject.backbone
    cfg = plain_model(backbone.name).pretrained_cfg
    kept = ("fixed_input_size", "interpolation", "first_conv", "pool_size")
    size = cfg["input_size"] if cfg.get("fixed_input_size") else (3, *subject.size)
    return {
        "architecture": backbone.name.partition(".")[0],
        "num_classes": 0,
        "num_features": backbone.model.num_features,
        "pretrained_cfg": {
            "tag": subject.method,
            "custom_load": False,
            "input_size": list(size),
            **{name: cfg[name] for name in kept if cfg.get(name) is not None},
            "crop_pct": 1.0,
            **backbone.normalisation,
            "num_classes": 0,
        },
    }


def _check(subject: Subject, folder: Path) -> None:
    import timm

    model: Any = timm.create_model(f"local-dir:{folder}", pretrained=True)
    state, told = subject.backbone.model.state_dict(), model.pretrained_cfg
    same = all(tensor.equal(state[name]) for name, tensor in model.state_dict().items())
    if not same or list(told["mean"]) != subject.backbone.normalisation["mean"]:
        raise WeightsError(
            f"timm makes something else of the folder than the backbone {subject.backbone.name}. "
            "Use --format timm."
        )


# ---- to the hub
def check_push(name: str) -> None:
    """Refuse early what cannot be uploaded, before anything is written.

    Raises:
        OptionError: ``name`` is not OWNER/NAME.
        ConfigError: the hub cannot be reached, or nobody is logged in.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        owner, _, own = name.partition("/")
    except HFValidationError:
        owner = own = ""
    if not (owner and own):
        raise OptionError("push", f"must be OWNER/NAME on the Hugging Face hub, not {name!r}.")
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(
            "Nothing was written: the hub is switched off here (HF_HUB_OFFLINE is set), so nothing can be "
            f"pushed. Unset it, or leave --push away and upload the folder elsewhere: hf upload {name} DIR."
        )
    if get_token() is None:
        raise ConfigError(
            "Nothing was written: there is no token to push with. Log in with `hf auth login`, or set "
            "HF_TOKEN to a token that may write."
        )
    if (why := why_unreachable()) is not None:
        raise ConfigError(
            f"Nothing was written: {why}. Leave --push away, and where there is a network: "
            f"hf upload {name} DIR."
        )


def push(folder: Path, files: Sequence[Path], name: str, *, private: bool) -> str:
    """Upload files of a folder to a model repository, made where there is none; return its address.

    Raises:
        ConfigError: the hub refuses; the folder stays.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi(library_name="geopretrain")
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            allow_patterns=[os.path.relpath(file, folder) for file in files],
            commit_message="Add the backbone",
        )
    except Exception as error:  # of its own kinds and of the library that it speaks through
        raise ConfigError(
            f"'{folder}' is complete, but the hub did not take it as {name}: {first_line(error, None)}. May "
            f"your token write there? To try again: hf upload {name} {folder}."
        ) from error
    return str(address)
