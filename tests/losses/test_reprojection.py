import pytest
import torch
import torch.nn.functional as F
from multiscale_loss import multiscale_reprojection

from geopretrain.geometry import (
    disparity_to_inverse_depth,
    inverse_depth_projection,
    invert_pose,
    pixel_grid,
    pose_matrix,
    sample,
)
from geopretrain.losses import (
    edge_aware_smoothness,
    full_size,
    mean_normalised,
    source_errors,
    synthesise,
)

MODES = {"M": ("m1", "p1"), "S": ("s",), "MS": ("m1", "p1", "s")}


class Golden:
    """The inputs of the golden losses, ready for the function."""

    def __init__(self, arrays, dtype=torch.float64):
        self.out = {name[4:]: torch.tensor(a) for name, a in arrays.items() if name.startswith("out_")}
        given = {name[3:]: torch.tensor(a).to(dtype) for name, a in arrays.items() if name.startswith("in_")}
        self.disparities = [given[f"disp_scale{s}"].requires_grad_() for s in range(4)]
        self.motions = {
            f"{kind}_{frame}": given[f"{kind}_{frame}"].requires_grad_()
            for kind in ("axisangle", "translation")
            for frame in ("m1", "p1")
        }
        pose = {
            f: pose_matrix(self.motions[f"axisangle_{f}"][:, 0, 0], self.motions[f"translation_{f}"][:, 0, 0])
            for f in ("m1", "p1")
        }
        self.poses = {"m1": invert_pose(pose["m1"]), "p1": pose["p1"], "s": given["stereo_T"]}
        self.given = given

    def arguments(self, mode):
        frames = MODES[mode]
        return (
            self.given["color_0"],
            torch.stack([self.given[f"color_{f}"] for f in frames], 1),
            self.given["K"][:, :3, :3],
            torch.stack([self.poses[f] for f in frames], 1),
        )

    def loss(self, mode, **options):
        return multiscale_reprojection(self.disparities, *self.arguments(mode), **{"noise": 0, **options})


@pytest.fixture
def load(golden):
    return lambda dtype=torch.float64: Golden(golden("monodepth2_losses.npz"), dtype)


class Candidates:
    """Everything that the loss of one scale chooses from, out of the plain forms."""

    def __init__(
        self,
        disparity,
        target,
        sources,
        intrinsics,
        poses,
        *,
        source_intrinsics=None,
        ssim_weight=0.85,
        align_corners=True,
    ):
        inverse_depth = disparity_to_inverse_depth(full_size(disparity, target), 0.1, 100.0)
        projection = inverse_depth_projection(intrinsics, poses, target.shape[-2:], source_intrinsics)
        self.warped, in_view = synthesise(inverse_depth, projection, sources, align_corners)
        self.valid = in_view[:, :, 0]
        self.identity = source_errors(target, sources, ssim_weight)
        self.reprojection = source_errors(target, self.warped, ssim_weight)


def plain_loss(
    disparities, target, sources, intrinsics, poses, *, automask=True, average=False, ssim_weight=0.85
):
    """The loss put together as the paper says it, without any saving."""
    losses = []
    for scale, disparity in enumerate(disparities):
        candidates = Candidates(disparity, target, sources, intrinsics, poses, ssim_weight=ssim_weight)
        errors = [candidates.reprojection]
        if automask:
            errors = [candidates.identity, candidates.reprojection]
        if average:
            errors = [error.mean(1, keepdim=True) for error in errors]
        photometric = torch.cat(errors, 1).amin(1).mean()
        image = F.interpolate(target, disparity.shape[-2:], mode="area")
        smoothness = edge_aware_smoothness(mean_normalised(disparity), image)
        losses.append(photometric + 1e-3 * smoothness / 2**scale)
    return torch.stack(losses).mean()


def random_scene(dtype=torch.float64, size=(16, 24), count=2, batch=2, scales=3, seed=1):
    """Smooth random images seen by slightly moving cameras."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    height, width = size
    images = F.interpolate(rand(batch * (count + 1), 3, height // 4, width // 4), size, mode="bicubic").clamp(
        0, 1
    )
    images = images.unflatten(0, (batch, count + 1)).to(dtype)
    disparities = [(0.1 + 0.8 * rand(batch, 1, height >> s, width >> s)).to(dtype) for s in range(scales)]
    intrinsics = torch.tensor([[width, 0, width / 2.1], [0, width, height / 1.9], [0, 0, 1]], dtype=dtype)
    vectors, translations = (
        (0.05 * (rand(batch * count, 3) - 0.5)).to(dtype),
        (rand(batch * count, 3) - 0.5).to(dtype),
    )
    poses = pose_matrix(vectors, 0.1 * translations).unflatten(0, (batch, count))
    return disparities, images[:, 0], images[:, 1:], intrinsics.expand(batch, 3, 3), poses


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("align", [True, False])
def test_losses_are_golden(load, mode, align):
    data = load()
    result = data.loss(mode, align_corners=align)
    prefix = f"{mode}_align{str(align).lower()}_"
    assert torch.allclose(result.loss, data.out[prefix + "loss_total"], rtol=0, atol=1e-11)
    assert torch.allclose(result.scale_losses, data.out[prefix + "loss_per_scale"], rtol=0, atol=1e-11)
    assert torch.allclose(result.photometric, data.out[prefix + "photo_mean_per_scale"].mean(), atol=1e-11)
    reprojected = data.out[prefix + "identity_selection"][:, 0].double().mean()
    assert result.masked_fraction.item() == pytest.approx(1 - reprojected.item(), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [("avgreproj", {"average": True}), ("noautomask", {"automask": False}), ("nossim", {"ssim_weight": 0})],
)
def test_ablations_are_golden(load, name, options):
    data = load()
    result = data.loss("M", align_corners=False, **options)
    expected = data.out[f"M_alignfalse_{name}_loss_per_scale"]
    assert torch.allclose(result.scale_losses, expected, rtol=0, atol=1e-11)


def test_float32_stays_near_the_golden_losses(load):
    for mode in MODES:
        data = load(torch.float32)
        difference = data.loss(mode).scale_losses.double() - data.out[f"{mode}_aligntrue_loss_per_scale"]
        assert difference.abs().max() < 5e-6


def test_gradients_are_golden(load):
    data = load()
    data.loss("MS", align_corners=False).loss.backward()
    leaves = {f"disp_scale{s}": d for s, d in enumerate(data.disparities)} | data.motions
    for name, leaf in leaves.items():
        expected = data.out[f"MS_alignfalse_grad_{name}"]
        assert (leaf.grad - expected).abs().max() < 1e-9 * expected.abs().max(), name


@pytest.mark.parametrize("mode", MODES)
def test_candidates_are_golden(load, mode):
    data = load()
    candidates = Candidates(data.disparities[0], *data.arguments(mode), align_corners=False)
    combined = torch.cat([candidates.identity, candidates.reprojection], 1)
    prefix = f"{mode}_alignfalse_"
    expected = data.out[prefix + "combined_scale0"]
    assert torch.allclose(combined[: len(expected)], expected, rtol=0, atol=1e-9)
    smallest, index = combined.min(1)
    assert torch.allclose(smallest, data.out[prefix + "min_map"], rtol=0, atol=1e-9)
    assert torch.equal(index, data.out[prefix + "index"][:, 0].long())
    if mode == "MS":
        warped = torch.stack([data.out[f"MS_alignfalse_warp_{f}_scale0"] for f in MODES[mode]], 1)
        assert torch.allclose(candidates.warped, warped, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"automask": False}, {"average": True}, {"ssim_weight": 0}])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_fast_equals_plain(options, count):
    *_, poses = arguments = random_scene(count=count)
    leaves = [*(d.requires_grad_() for d in arguments[0]), poses.requires_grad_()]
    plain = plain_loss(*arguments, **options)
    fast = multiscale_reprojection(*arguments, noise=0, **options).loss
    assert fast.item() == pytest.approx(plain.item(), abs=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(fast, leaves), torch.autograd.grad(plain, leaves), strict=True
    ):
        assert (ours - theirs).abs().max() < 1e-9 * theirs.abs().max()


@pytest.mark.parametrize("size", [(96, 160), (32, 40)])
def test_fast_equals_plain_in_float32(size):
    arguments = random_scene(torch.float32, size=size, batch=3, scales=4)
    difference = multiscale_reprojection(*arguments, noise=0).loss - plain_loss(*arguments)
    assert difference.abs().item() < 1e-6


def test_a_disparity_that_is_not_a_number_reads_no_foreign_memory():
    (disparity, *_), *arguments = random_scene(scales=1)
    disparity[:] = torch.nan
    assert multiscale_reprojection([disparity], *arguments, noise=0).valid_fraction == 0


@pytest.mark.parametrize("options", [{}, {"automask": False}, {"average": True}, {"ssim_weight": 0.0}])
def test_gradcheck(options):
    disparities, target, sources, intrinsics, poses = random_scene(size=(8, 12), batch=1, scales=2)

    def loss(fine, coarse, poses):
        return multiscale_reprojection(
            [fine, coarse], target, sources, intrinsics, poses, noise=0, smoothness_weight=0.1, **options
        ).loss

    inputs = [*(d.requires_grad_() for d in disparities), poses.requires_grad_()]
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-7, atol=1e-6)


def test_gradcheck_of_the_cameras():
    disparities, target, sources, intrinsics, poses = random_scene(size=(8, 12), batch=1, scales=1)

    def loss(own, others):
        return multiscale_reprojection(
            disparities, target, sources, own, poses, source_intrinsics=others, noise=0
        ).loss

    others = intrinsics[:, None] * torch.tensor([1.1, 1.05, 1], dtype=torch.float64)[:, None]
    inputs = [intrinsics.clone().requires_grad_(), others.repeat(1, 2, 1, 1).requires_grad_()]
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-7, atol=1e-6)


def test_every_source_may_have_a_camera_of_its_own():
    """A source that sees the same from the same place, but zoomed: only its own intrinsics explain it."""
    disparities, target, sources, intrinsics, poses = random_scene(size=(32, 48), batch=1, count=1, scales=1)
    zoom = torch.tensor([[2.0, 0, -20], [0, 2, -11], [0, 0, 1]], dtype=torch.float64)
    pixels = pixel_grid(32, 48, dtype=torch.float64)
    seen = (torch.linalg.inv(zoom) @ pixels.flatten(1)).unflatten(1, (32, 48))[None, :2]
    zoomed, static = sample(target, seen)[:, None], torch.eye(4).double()[None, None]
    arguments = (disparities, target, zoomed, intrinsics, static)
    told = multiscale_reprojection(*arguments, source_intrinsics=(zoom @ intrinsics)[:, None], noise=0)
    not_told = multiscale_reprojection(*arguments, noise=0)
    assert told.valid_fraction < 0.3
    inner = Candidates(disparities[0], *arguments[1:], source_intrinsics=(zoom @ intrinsics)[:, None])
    assert inner.reprojection[inner.valid].mean() < 0.2 * not_told.reprojection_error
    plain = multiscale_reprojection(
        disparities, target, sources, intrinsics, poses, source_intrinsics=intrinsics[:, None], noise=0
    )
    assert (
        plain.loss == multiscale_reprojection(disparities, target, sources, intrinsics, poses, noise=0).loss
    )


def test_true_motion_is_recognised():
    """Sources made by moving the target: nothing is left unexplained, and the statistics say so."""
    _, target, _, intrinsics, _ = random_scene(size=(32, 48), batch=1)
    disparity = torch.full((1, 1, 32, 48), 0.02, dtype=torch.float64)
    depth = 1 / (0.01 + 9.99 * 0.02)
    shift = 3 * depth / intrinsics[0, 0, 0].item()
    pose = pose_matrix(torch.zeros(1, 3).double(), torch.tensor([[shift, 0, 0]]).double())
    source = F.pad(target[..., :-3], (3, 0, 0, 0), mode="replicate")
    arguments = ([disparity], target, source[:, None], intrinsics)
    right = multiscale_reprojection(*arguments, pose[:, None], noise=0)
    wrong = multiscale_reprojection(*arguments, invert_pose(pose)[:, None], noise=0)
    assert right.reprojection_error < 0.1 * right.identity_error < 0.1 * wrong.reprojection_error
    assert right.masked_fraction < 0.2 < wrong.masked_fraction
    assert right.valid_fraction.item() == pytest.approx(45 / 48)
    static = multiscale_reprojection(*arguments[:2], target[:, None], intrinsics, pose[:, None], noise=0)
    assert static.masked_fraction == 1
    assert static.photometric < 1e-12


def test_statistics_are_those_of_the_plain_maps():
    arguments = random_scene(scales=1)
    result = multiscale_reprojection(*arguments, noise=0)
    candidates = Candidates(arguments[0][0], *arguments[1:])
    reprojection, identity = candidates.reprojection.amin(1), candidates.identity.amin(1)
    assert result.reprojection_error.item() == pytest.approx(reprojection.mean().item(), abs=1e-12)
    assert result.identity_error.item() == pytest.approx(identity.mean().item(), abs=1e-12)
    assert result.masked_fraction.item() == pytest.approx((identity <= reprojection).double().mean().item())
    assert result.valid_fraction.item() == pytest.approx(candidates.valid.double().mean().item())


def test_given_noise_moves_the_unwarped_errors():
    arguments = random_scene(scales=1)
    target = arguments[1]
    quiet = multiscale_reprojection(*arguments, noise=0)
    noise = torch.zeros(2, 2, *target.shape[-2:], dtype=torch.float64)
    noise[:, 1] = -10.0
    noisy = multiscale_reprojection(*arguments, noise=noise)
    assert noisy.masked_fraction == 1 > quiet.masked_fraction
    second = Candidates(arguments[0][0], *arguments[1:]).identity[:, 1].mean() - 10
    assert noisy.photometric.item() == pytest.approx(second.item())
    torch.manual_seed(4)
    first = multiscale_reprojection(*arguments, noise=1e-3).loss
    assert multiscale_reprojection(*arguments, noise=1e-3).loss != first
    torch.manual_seed(4)
    assert multiscale_reprojection(*arguments, noise=1e-3).loss == first


def test_convention_scale_zero_is_the_finest():
    """Flat disparities of any size are the same depth; only smoothness depends on the scale."""
    disparities, *rest = random_scene(scales=2)
    flat = [torch.full_like(d, 0.3) for d in disparities]
    alone = multiscale_reprojection(flat[:1], *rest, noise=0)
    both = multiscale_reprojection(flat, *rest, noise=0)
    assert both.loss.item() == pytest.approx(alone.loss.item(), abs=1e-12)
    rough = multiscale_reprojection([disparities[1]] * 2, *rest, noise=0, smoothness_weight=1.0)
    smooth = multiscale_reprojection([disparities[1]] * 2, *rest, noise=0, smoothness_weight=0.0)
    first, second = (rough.scale_losses - smooth.scale_losses).tolist()
    assert first == pytest.approx(2 * second)


def test_convention_losses_are_float32_under_autocast():
    arguments = random_scene(torch.float32)
    disparities = [d.bfloat16().requires_grad_() for d in arguments[0]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = multiscale_reprojection(disparities, *arguments[1:], noise=0)
    rounded = [d.detach().float() for d in disparities]
    assert result.loss.dtype == torch.float32
    assert result.loss == multiscale_reprojection(rounded, *arguments[1:], noise=0).loss
    result.loss.backward()
    assert all(d.grad.dtype == torch.bfloat16 and d.grad.abs().sum() > 0 for d in disparities)


def test_without_gradients_nothing_is_recorded():
    arguments = random_scene()
    arguments[0][0].requires_grad_()
    with torch.no_grad():
        result = multiscale_reprojection(*arguments, noise=0)
    assert not result.loss.requires_grad
    assert result.loss.item() == multiscale_reprojection(*arguments, noise=0).loss.item()


def test_shapes_are_checked():
    disparities, target, sources, intrinsics, poses = random_scene()
    with pytest.raises(ValueError, match=r"projection must have shape \(B N 3 4\) with B=2, N=2"):
        multiscale_reprojection(disparities, target, sources, intrinsics, poses[:, :1])
    with pytest.raises(ValueError, match=r"disparity must have shape \(B 1 h w\) with B=2"):
        multiscale_reprojection([disparities[0][:1]], target, sources, intrinsics, poses)
    with pytest.raises(ValueError, match="at least one scale"):
        multiscale_reprojection([], target, sources, intrinsics, poses)
