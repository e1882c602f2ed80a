"""Weights below keys of others, and several sets of them in one file."""

from __future__ import annotations

import json

import pytest
import timm
import torch

from geopretrain.errors import WeightsError
from geopretrain.weights import init_backbone, parse_init, read_normalisation, read_tensors, save_tensors

STATE = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}
OTHER = {name: tensor + 1 for name, tensor in STATE.items()}
OPTIMISER = {"state": {0: {"step": torch.ones(()), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1.0}]}


@pytest.mark.parametrize(
    "content",
    [
        {"checkpoint": {"weights": {"model": STATE}}},
        {"a": {"b": {"c": {"d": STATE}}}, "optimizer": OPTIMISER},
        [STATE],
        (3, {"net": STATE}),
        {"model": STATE, "ema": {"decay": 0.999, "updates": 3}},
        {"state_dict": STATE, "current_model_state": OTHER, "averaging_state": {"n": torch.ones(())}},
        {"state_dict": OTHER, "state_dict_ema": STATE},
        {"model": OTHER, "model_ema": {f"module.{name}": value for name, value in STATE.items()}},
        {"model": OTHER, "ema": {"module": STATE, "decay": 0.999}, "optimizer": OPTIMISER},
        {"teacher": STATE, "student": OTHER},
        {"network": STATE, "critic": {"bias": torch.ones(1)}},
    ],
)
def test_weights_are_found_below_any_keys_and_averages_are_preferred(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    read = read_tensors(tmp_path / "a.pth")
    assert set(read) == set(STATE)
    assert all(torch.equal(read[name], STATE[name]) for name in STATE)


def test_a_file_that_holds_itself_comes_to_an_end(tmp_path):
    content = {"model": STATE}
    content |= {f"again_{number}": content for number in range(20)}
    torch.save(content, tmp_path / "a.pth")
    assert set(read_tensors(tmp_path / "a.pth")) == set(STATE)


def test_two_networks_of_which_none_is_meant_are_named(tmp_path):
    torch.save({"generator": STATE, "discriminator": OTHER}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"generator, discriminator.*file of its own"):
        read_tensors(tmp_path / "a.pth")


def test_what_stands_beside_the_average_is_listed_as_not_used(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    average = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    torch.save({"epoch": 1, "state_dict": state, "state_dict_ema": average}, tmp_path / "a.pth.tar")
    backbone, report = init_backbone("test_resnet", parse_init(tmp_path / "a.pth.tar"))
    assert torch.equal(backbone.model.state_dict()["conv1.0.weight"], average["conv1.0.weight"])
    reasons = dict(report.skipped)
    assert "state_dict_ema" in reasons["state_dict.conv1.0.weight"]
    assert "beside the weights that are taken, state_dict_ema" in report.summary()


def test_negative_variances_are_refused(tmp_path):
    state = timm.create_model("test_resnet").state_dict()
    state["bn1.running_var"][0] = -1e-3
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"negative variances.*bn1\.running_var"):
        init_backbone("test_resnet", parse_init(tmp_path / "a.pth"))


@pytest.mark.parametrize(
    "stored",
    [
        '{"mean": [0, 0, 0], "std": [0, 0, 0]}',
        '{"mean": [0, 0], "std": [1, 1]}',
        '{"mean": [NaN, 0, 0], "std": [1, 1, 1]}',
        '{"mean": [0, 0, 0], "std": [1, 1, -1]}',
        '{"mean": "0.5"}',
        "[" * 100_000,
    ],
)
def test_impossible_normalisations_in_a_file_are_refused(tmp_path, stored):
    path = tmp_path / "a.safetensors"
    save_tensors(path, STATE, {"normalisation": stored})
    with pytest.raises(WeightsError, match="normalisation stored in") as error:
        read_normalisation(path)
    assert len(str(error.value)) < 600


def test_whole_numbers_are_a_normalisation(tmp_path):
    save_tensors(
        tmp_path / "a.safetensors", STATE, {"normalisation": json.dumps({"mean": [0] * 3, "std": [1] * 3})}
    )
    assert read_normalisation(tmp_path / "a.safetensors") == {"mean": [0.0] * 3, "std": [1.0] * 3}
