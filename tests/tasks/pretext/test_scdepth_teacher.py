"""What SC-Depth V3 learns from teachers of depth, and of disparity up to a factor and an offset."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from geopretrain import geometry
from geopretrain.data.batches import ClipBatch
from geopretrain.data.store.pseudo_depth import PseudoDepthInfo
from geopretrain.errors import ConfigError, DataError
from geopretrain.losses.geometry_consistency import Comparison, PairMaps
from geopretrain.tasks.pretext.scdepth import SCDepth, SCDepthConfig, method
from geopretrain.tasks.pretext.scdepth.method import teacher_useless
from geopretrain.tasks.pretext.scdepth.teacher import aligned_depth, ordered_depth
from geopretrain.tasks.step import Step
from geopretrain.weights import parse_init

SIZE = (32, 48)
LIMITS = (0.1, 100.0)
K = torch.tensor([[40.0, 0, 23.5], [0, 40.0, 15.5], [0, 0, 1]])
RELATIVE = PseudoDepthInfo("x", "disparity", "scale_shift")
TILTED = (0.004, -0.006, 0.5)
"""1 / depth of a plane is a u + b v + c at the pixel (u, v): these a, b and c."""


def plane(a: float, b: float, c: float) -> torch.Tensor:
    """Return the depth ``1 1 H W`` of a plane."""
    v, u = torch.meshgrid(*(torch.arange(n).float() for n in SIZE), indexing="ij")
    return 1 / (a * u + b * v + c)[None, None]


def bumpy(seed: int = 0) -> torch.Tensor:
    """Return a smooth random depth ``1 1 H W`` between 1 and 3."""
    noise = torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(seed))
    return 1 + 2 * functional.interpolate(noise, SIZE, mode="bilinear", align_corners=True)


def agreeing(depth: torch.Tensor) -> torch.Tensor:
    """Return consistency ``B 1 H W`` that is lowest in the leftmost fifth of the columns."""
    return torch.linspace(0.5, 1, depth.shape[-1]).expand_as(depth)


def batch_of(pseudo_depth: torch.Tensor | None) -> ClipBatch:
    count = 1 if pseudo_depth is None else len(pseudo_depth)
    images = torch.rand(count, 3, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return ClipBatch(
        images, K.repeat(count, 1, 1), (0, -1, 1), torch.arange(count), pseudo_depth=pseudo_depth
    )


TERMS = {"ranking", "normals", "relative_normals"}


def terms_of(depth, pseudo_depth, info, monkeypatch, **options):
    """Return what the teacher teaches a network that says this depth, and what is logged of it."""
    config = SCDepthConfig(
        backbone="test_resnet",
        pose_backbone="test_resnet",
        version=3,
        min_depth=LIMITS[0],
        max_depth=LIMITS[1],
        photometric=0,
        geometry=0,
        **options,
    )
    task = SCDepth.create(config, parse_init("random"))[0].eval()
    task.teacher = info
    sigmoid = (1 / depth - 1 / LIMITS[1]) / (1 / LIMITS[0] - 1 / LIMITS[1])
    frames = sigmoid[:, None].expand(-1, 3, -1, -1, -1)
    monkeypatch.setattr(task, "_sigmoids", lambda _: frames)
    monkeypatch.setattr(task, "_poses", lambda _: (None, None, {}))
    monkeypatch.setattr(method.losses, "compare_views", agreeing_views)
    torch.manual_seed(0)
    loss, logs = task.loss(batch_of(pseudo_depth), Step(0, 1))
    return loss, {name: logs[name] for name in TERMS & set(logs)}, logs


def agreeing_views(images, depths, *_, **options):
    """Compare nothing; the frames agree as `agreeing` says."""
    none = torch.zeros_like(depths[:, 0])
    maps = PairMaps(*([none] * 4), *([none > 0] * 2))
    return Comparison(maps, agreeing(none), none, {})


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (300.0, 20.0), (0.01, 5.0), (7.0, -2.0)])
def test_a_plane_of_any_scale_and_shift_gets_its_depth_and_normals_back(scale, shift):
    depth = plane(*TILTED)
    found = aligned_depth(scale / depth + shift + 1e-3, depth, agreeing(depth), LIMITS)
    torch.testing.assert_close(found, depth, rtol=2e-3, atol=0)
    # m . p = 1 / z for all pixels p = K X / z of the plane, hence (K^T m) . X = 1
    expected = functional.normalize(K.T @ torch.tensor(TILTED), dim=0)
    normals = geometry.surface_normals(found, K[None])[0, :, 3:-3, 3:-3]
    torch.testing.assert_close(normals, expected.view(3, 1, 1).expand_as(normals), atol=5e-3, rtol=0)


def test_where_the_frames_disagree_the_networks_depth_takes_no_part_in_the_fit():
    depth = plane(*TILTED)
    wrong = depth.clone()
    wrong[..., :8] = 50.0  # a car driving ahead looks infinitely far; it is among the least consistent pixels
    found = aligned_depth(3 / depth + 1, wrong, agreeing(depth), LIMITS)
    torch.testing.assert_close(found, depth, rtol=1e-3, atol=0)


def test_the_gradient_is_that_of_a_teacher_of_fixed_depth(monkeypatch):
    own, disparity = bumpy(), 4 / (bumpy() * bumpy(5) ** 0.2) + 2
    fixed = aligned_depth(disparity, own, agreeing(own), LIMITS)
    assert (fixed > 0).any()
    gradients = []
    for maps, info in ((disparity, RELATIVE), (fixed, None)):
        depth = own.clone().requires_grad_()
        loss, terms, _ = terms_of(depth, maps, info, monkeypatch, ranking=0)
        assert set(terms) == {"normals", "relative_normals"}
        gradients.append(torch.autograd.grad(loss, depth)[0])
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(*gradients)


def few_pixels() -> torch.Tensor:
    disparity = torch.zeros(1, 1, *SIZE)
    disparity[..., 20:24, 30:34] = (1 / bumpy())[..., 20:24, 30:34]
    return disparity


UNSOUND = {
    "a constant teacher": (torch.full((1, 1, *SIZE), 0.1), bumpy()),
    "a constant network": (1 / bumpy(), torch.full((1, 1, *SIZE), 0.3)),
    "near and far exchanged": (bumpy(), bumpy()),
    "nothing in common": (torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(2)), bumpy()),
    "few pixels": (few_pixels(), bumpy()),
    "no pixel": (torch.zeros(1, 1, *SIZE), bumpy()),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_without_a_sound_fit_a_picture_has_no_teacher_of_normals(case):
    disparity, depth = UNSOUND[case]
    assert (aligned_depth(disparity, depth, agreeing(depth), LIMITS) == 0).all()


def test_an_unsound_picture_leaves_the_others_of_its_batch_alone(monkeypatch):
    depth = bumpy()
    good = 4 / (bumpy() * bumpy(5) ** 0.2) + 2
    both = aligned_depth(torch.cat([good, bumpy()]), depth.repeat(2, 1, 1, 1), agreeing(depth), LIMITS)
    assert (both[:1] > 0).float().mean() > 0.9
    assert (both[1] == 0).all()
    _, alone, _ = terms_of(depth, good, RELATIVE, monkeypatch)
    _, beside, logs = terms_of(depth.repeat(2, 1, 1, 1), torch.cat([good, bumpy()]), RELATIVE, monkeypatch)
    torch.testing.assert_close(alone["normals"], beside["normals"])
    assert logs["aligned_fraction"] == (both > 0).float().mean()
    assert logs["unaligned_batch"] == 0


def test_pixels_that_the_fit_brings_out_of_range_have_no_teacher():
    depth = plane(*TILTED)
    disparity = 1 / depth
    depth[..., :4], disparity[..., :4] = 2.0, -0.1  # sky, off the line that the other pixels lie on
    disparity += 0.2
    found = aligned_depth(disparity, depth, agreeing(depth), LIMITS)
    assert (found[..., :4] == 0).all()
    torch.testing.assert_close(found[..., 4:], depth[..., 4:], rtol=1e-3, atol=0)


def test_a_batch_without_alignment_still_learns_order_and_says_so(monkeypatch):
    depth = bumpy().requires_grad_()
    disparity = 1 / bumpy(3)  # another scene
    assert (aligned_depth(disparity, depth, agreeing(depth), LIMITS) == 0).all()
    loss, terms, logs = terms_of(depth, disparity, RELATIVE, monkeypatch)
    assert (terms["normals"], terms["relative_normals"]) == (0, 0)
    assert (logs["unaligned_batch"], logs["aligned_fraction"], logs["teacher_fraction"]) == (1, 0, 1)
    assert terms["ranking"] > 0
    gradient = torch.autograd.grad(loss, depth)[0]
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    (sentence,) = teacher_useless({name: value.item() for name, value in logs.items()})
    assert "In 100% of the last steps no picture of the teacher's disparity" in sentence


def test_teachers_of_depth_are_not_aligned(monkeypatch):
    depth, truth = bumpy(), bumpy(3)
    _, expected, logs = terms_of(depth, truth, PseudoDepthInfo("x", "depth", "scale"), monkeypatch)
    assert "aligned_fraction" not in logs
    for maps, info in (
        (truth, None),
        (truth, PseudoDepthInfo("x", "depth", "metric")),
        (truth, PseudoDepthInfo("x", "depth", "scale_shift")),
        (1 / truth, PseudoDepthInfo("x", "disparity", "scale")),
    ):
        _, found, logs = terms_of(depth, maps, info, monkeypatch)
        assert {name for name in logs if "_fraction" in name} == {
            "teacher_fraction",
            "ranked_fraction",
            "edge_fraction",
        }
        torch.testing.assert_close(found, expected)


def test_a_teacher_is_needed_and_what_it_gives_is_learned_from_the_store(tmp_path):
    with pytest.raises(DataError, match="pseudo-depth STORE"):
        ordered_depth(batch_of(None), None)
    store = SimpleNamespace(path=tmp_path, pseudo_depth=RELATIVE)
    for options in ({}, {"as_released": True, "normals": 0, "relative_normals": 0}):
        config = SCDepthConfig(backbone="test_resnet", pose_backbone="test_resnet", version=3, **options)
        task = SCDepth.create(config, parse_init("random"))[0]
        task.check_data(store)
        assert task.teacher == RELATIVE
    task.config = SCDepthConfig(version=3, as_released=True)
    with pytest.raises(ConfigError, match="the released code does not align it"):
        task.check_data(store)
    store.pseudo_depth = PseudoDepthInfo("x", "depth", "scale")
    task.check_data(store)
