"""A hub that cannot be reached is asked twice, not for half a minute."""

from __future__ import annotations

import pytest
import timm
from huggingface_hub import constants

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, hub
from geopretrain.prediction.teachers import load_teacher


class FakeSession:
    """Raises as often as told to, then answers; counts the questions."""

    def __init__(self, failures: int) -> None:
        self.failures, self.asked = failures, 0

    def head(self, url: str, timeout: float) -> str:
        assert url == constants.ENDPOINT
        assert timeout <= 5
        self.asked += 1
        if self.asked <= self.failures:
            raise ConnectionError("no route to host")
        return "404 will do"


@pytest.fixture
def session(monkeypatch):
    def use(failures: int) -> FakeSession:
        fake = FakeSession(failures)
        monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: fake)
        monkeypatch.setattr(hub, "PAUSE", 0.0)
        return fake

    return use


@pytest.mark.parametrize(("failures", "asked", "reached"), [(0, 1, True), (1, 2, True), (2, 2, False)])
def test_only_a_hub_that_fails_twice_is_taken_as_unreachable(session, failures, asked, reached):
    fake = session(failures)
    with hub.hub_or_cache() as reason:
        assert fake.asked == asked
        assert (reason is None, constants.HF_HUB_OFFLINE) == (reached, not reached)
    assert not constants.HF_HUB_OFFLINE


def test_the_setting_comes_back_after_an_error_and_one_who_is_offline_by_choice_is_not_asked(
    session, monkeypatch
):
    session(2)
    with pytest.raises(RuntimeError), hub.hub_or_cache():
        raise RuntimeError
    assert not constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fake = session(2)
    with hub.hub_or_cache() as reason:
        assert (reason, fake.asked, constants.HF_HUB_OFFLINE) == (None, 0, True)
    assert constants.HF_HUB_OFFLINE


def test_a_teacher_by_name_is_refused_after_two_tries_with_the_reason(session):
    pytest.importorskip("transformers")
    fake = session(99)
    with pytest.raises(WeightsError, match=r"cannot be reached: no route to host\).*hf download some/hub"):
        load_teacher("some/hub-name")
    assert fake.asked == 2


def test_weights_of_timm_are_refused_after_two_tries_with_the_reason(session):
    fake = session(99)
    with pytest.raises(WeightsError, match=r"cannot be reached: no route to host\. They are downloaded"):
        Backbone("resnet18.a1_in1k", pretrained=True)
    assert fake.asked == 2
    Backbone("test_resnet")
    assert fake.asked == 2


def test_another_error_than_a_missing_file_is_not_blamed_on_the_network(session, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("No pretrained weights exist\nfor this")

    session(99)
    monkeypatch.setattr(timm, "create_model", fails)
    with pytest.raises(WeightsError, match=r"cannot be had: No pretrained weights exist\. They"):
        Backbone("resnet18", pretrained=True)
