"""The operators do what the plain forms do, whatever goes in, and torch's tools accept them."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_scenes import assert_same, scene, seeds, spoil, spoilt, spoilt_colours

from geopretrain import losses
from geopretrain.losses import kernels, photometric, reprojection, synthesis
from geopretrain.losses.kernels import photometric as photometric_kernels
from geopretrain.losses.kernels import reprojection as reprojection_kernels
from geopretrain.losses.kernels import synthesis as synthesis_kernels
from geopretrain.losses.kernels.cpu import compiling

# what torch's tools are shown of each operator
OPERATORS = (
    photometric_kernels.operator,
    photometric_kernels.gradient_operator,
    synthesis_kernels.operator,
    synthesis_kernels.gradient_operator,
    reprojection_kernels.operator,
)
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}
examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SSIM_WINDOW = 3
few_examples = settings(examples, max_examples=15)


@pytest.fixture
def no_kernels():
    """Every device but a CPU runs the operators so."""
    with ExitStack() as stack:
        for operator in OPERATORS:
            stack.enter_context(operator.set_kernel_enabled("cpu", False))
        yield


def differentiate(function, *leaves):
    """Return the outputs and the gradients of their sum, each output weighted by numbers of its own."""
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    outputs = [value for value in function(*leaves) if value.dtype != torch.bool and value.requires_grad]
    weights = torch.Generator().manual_seed(0)
    total = sum(
        (torch.rand(value.shape, generator=weights, dtype=torch.float64).to(value) * value).sum()
        for value in outputs
    )
    return outputs, torch.autograd.grad(total, leaves)


def compare(operator, plain, *leaves, jumps=0.02):
    """Hold values and gradients of the operator to those of the plain form."""
    (found, found_gradients), (expected, gradients) = (
        differentiate(function, *leaves) for function in (operator, plain)
    )
    near = TOLERANCE[leaves[0].dtype]
    jumps = jumps if leaves[0].dtype == torch.float32 else 0.0
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, tolerance=near)
    for leaf, one, other in zip(leaves, found_gradients, gradients, strict=True):
        scale = leaf.abs().nan_to_num(1).clamp(max=1)  # roundings of 1 / depth grow as the depth shrinks
        assert_same(one * scale, other * scale, tolerance=10 * near, jumps=jumps)


def compare_photometric_errors(seed, changes, window, ssim_weight, dtype, device):
    _, _, x, sources = scene(seed, dtype, device)
    y = sources[:, 0]
    x, y = spoil(x, changes[:2]), spoil(y, changes[2:])
    compare(
        lambda *images: [kernels.photometric_error(*images, ssim_weight, window)],
        lambda *images: [photometric.photometric_error(*images, ssim_weight, window)],
        x,
        y,
    )


windows, weights = st.sampled_from([1, 3, 7]), st.sampled_from([0.0, 0.85, 1.0])


@examples
@given(seed=seeds, changes=spoilt_colours, window=windows, ssim_weight=weights)
def test_photometric_error_is_its_plain_form_for_every_input(
    seed, changes, window, ssim_weight, dtype, device
):
    compare_photometric_errors(seed, changes, window, ssim_weight, dtype, device)


@few_examples
@given(seed=seeds, changes=spoilt_colours, window=windows, ssim_weight=weights)
def test_photometric_error_without_a_kernel(seed, changes, window, ssim_weight, dtype, device, no_kernels):
    compare_photometric_errors(seed, changes, window, ssim_weight, dtype, device)


def compare_syntheses(seed, of_depth, of_source_depth, of_projection, dtype, device):
    depth, projection, _, sources = scene(seed, dtype, device)
    leaves = spoil(depth, of_depth), spoil(projection, of_projection)[:, 0], spoil(depth + 1, of_source_depth)
    found, expected = (
        module.synthesise_with_depth(leaves[0], leaves[1], sources[:, 0], leaves[2])
        for module in (kernels, synthesis)
    )
    assert torch.equal(found.in_view, expected.in_view)
    no_depth = ~((leaves[0] > 0) & leaves[0].isfinite() & (1 / leaves[0]).isfinite())
    assert not found.in_view[no_depth].any()
    assert (found.z[no_depth] == 0).all()
    compare(
        lambda d, p, s: kernels.synthesise_with_depth(d, p, sources[:, 0], s),
        lambda d, p, s: synthesis.synthesise_with_depth(d, p, sources[:, 0], s),
        *leaves,
    )


of_projection = st.one_of(st.just([]), spoilt)


@examples
@given(seed=seeds, of_depth=spoilt, of_source_depth=spoilt_colours, of_projection=of_projection)
def test_synthesis_is_its_plain_form_for_every_input(
    seed, of_depth, of_source_depth, of_projection, dtype, device
):
    compare_syntheses(seed, of_depth, of_source_depth, of_projection, dtype, device)


@few_examples
@given(seed=seeds, of_depth=spoilt, of_source_depth=spoilt_colours, of_projection=of_projection)
def test_synthesis_without_a_kernel(
    seed, of_depth, of_source_depth, of_projection, dtype, device, no_kernels
):
    compare_syntheses(seed, of_depth, of_source_depth, of_projection, dtype, device)


def compare_reprojections(seed, of_inverse_depth, of_projection, automask, options, dtype, device):
    depth, projection, target, sources = scene(seed, dtype, device)
    leaves = spoil(1 / depth, of_inverse_depth), spoil(projection, of_projection)
    identity = losses.identity_error(target, sources) if automask else None
    forms = [
        lambda q, p, module=module: module.minimum_reprojection(q, p, target, sources, identity, **options)
        for module in (kernels, reprojection)
    ]
    found, expected = (form(*leaves) for form in forms)
    pixel = 1 / target[:, 0].numel() if dtype == torch.float32 else 0.0  # rounding may move one over an edge
    for name, one, other in zip(found._fields, found, expected, strict=True):
        more = 1.01 * pixel if name.endswith("_fraction") else 0.0
        assert_same(one, other, tolerance=TOLERANCE[dtype] + more)
    compare(*forms, *leaves, jumps=max(0.02, 1.01 * SSIM_WINDOW**2 * pixel))  # its neighbours see that pixel


options = st.sampled_from([{}, {"average": True}, {"align_corners": False}, {"ssim_weight": 0.0}])


@examples
@given(
    seed=seeds,
    of_inverse_depth=spoilt,
    of_projection=of_projection,
    automask=st.booleans(),
    options=options,
)
def test_minimum_reprojection_is_its_plain_form_for_every_input(
    seed, of_inverse_depth, of_projection, automask, options, dtype, device
):
    compare_reprojections(seed, of_inverse_depth, of_projection, automask, options, dtype, device)


@few_examples
@given(
    seed=seeds,
    of_inverse_depth=spoilt,
    of_projection=of_projection,
    automask=st.booleans(),
    options=options,
)
def test_minimum_reprojection_without_a_kernel(
    seed, of_inverse_depth, of_projection, automask, options, dtype, device, no_kernels
):
    compare_reprojections(seed, of_inverse_depth, of_projection, automask, options, dtype, device)


def arguments_of_operators(dtype, device):
    """Return each operator with what it may be called with; what has a gradient requires one."""
    depth, projection, target, sources = scene(0, dtype, device)
    depth, projection = depth.requires_grad_(), projection.requires_grad_()
    images = target.clone().requires_grad_(), sources[:, 0].clone().requires_grad_()
    maps = [torch.rand_like(values.detach()) for values in (target, depth, depth)]
    one = projection[:, 0], sources[:, 0], torch.rand_like(depth).requires_grad_()
    detached = [values.detach() for values in (depth, *one)]
    identity = losses.identity_error(target, sources)
    photometric_gradient = torch.rand_like(depth.detach()), *(image.detach() for image in images)
    return [
        (photometric_kernels.operator, (*images, 0.85, 3)),
        (photometric_kernels.operator, (images[0], sources[:, 0], 0.0, 7)),
        (photometric_kernels.gradient_operator, (*photometric_gradient, 0.85, 3)),
        (synthesis_kernels.operator, (depth, *one)),
        (synthesis_kernels.gradient_operator, (*maps, *detached)),
        (
            reprojection_kernels.operator,
            (depth, projection, target, sources, identity, 0.85, False, True, True),
        ),
        (
            reprojection_kernels.operator,
            (depth.detach(), projection.detach(), target, sources, None, 0.0, True, False, False),
        ),
    ]


@pytest.mark.parametrize("number", range(7))
def test_opcheck(number, dtype, device):
    operator, arguments = arguments_of_operators(dtype, device)[number]
    torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize("number", [0, 2, 3, 4, 5, 6])
def test_opcheck_without_a_kernel(number, device, no_kernels):
    operator, arguments = arguments_of_operators(torch.float32, device)[number]
    torch.library.opcheck(operator, arguments)


def test_opcheck_knows_every_operator(device):
    assert {operator for operator, _ in arguments_of_operators(torch.float32, device)} == set(OPERATORS)


def whole_losses(depth, projection, poses, target, sources):
    """Photometric error, minimum reprojection, and the terms of SC-Depth, one after the other."""
    images = torch.cat([target[:, None], sources], 1)
    depths = torch.stack([depth, depth + 0.1, depth + 0.2], 1)
    intrinsics = projection.new_tensor([[16, 0, 8], [0, 16, 6], [0, 0, 1]]).expand(len(depth), 3, 3)
    compared = losses.compare_views(images, depths, intrinsics, poses, poses)
    identity = losses.identity_error(target, sources)
    moved = losses.minimum_reprojection(1 / depth, projection, target, sources, identity)
    error = losses.photometric_error(sources[:, 0], target * depth.mean()).mean()
    return losses.photometric_loss(compared) + losses.geometry_loss(compared) + moved.error + error


def compiled_equals_eager(backend, device):
    depth, projection, target, sources = scene(0, torch.float32, device)
    poses = torch.eye(4, device=device).repeat(2, 2, 1, 1)
    poses[..., 0, 3] = 0.1
    compiled = torch.compile(whole_losses, fullgraph=True, backend=backend)
    results = []
    for function in (whole_losses, compiled):
        leaves = [values.clone().requires_grad_() for values in (depth, projection, poses)]
        loss = function(*leaves, target, sources)
        results.append([loss, *torch.autograd.grad(loss, leaves)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_losses_compile_as_one_graph(device):
    compiled_equals_eager("aot_eager", device)


@pytest.mark.slow
def test_the_losses_compile_to_code(device):
    compiled_equals_eager("inductor", device)


def test_a_second_derivative_is_refused(device):
    depth, projection, target, sources = scene(0, torch.float64, device)
    depth.requires_grad_()
    forms = (
        lambda: kernels.minimum_reprojection(1 / depth, projection, target, sources).error,
        lambda: kernels.synthesise_with_depth(depth, projection[:, 0], target, depth).depth.sum(),
        lambda: kernels.photometric_error(depth, 1 / depth).sum(),
    )
    for form in forms:
        with pytest.raises(RuntimeError, match=r"twice|no autograd formula"):
            torch.autograd.grad(form(), depth, create_graph=True)[0].sum().backward()


def test_what_a_kernel_cannot_take_is_refused(device):
    depth, projection, target, sources = scene(0, torch.float32, device)
    with pytest.raises(ValueError, match=r"sources is torch\.float64: all must be of one type"):
        kernels.minimum_reprojection(depth, projection, target, sources.double())
    with pytest.raises(ValueError, match=r"depth is torch\.bfloat16: all must be of one type"):
        kernels.synthesise_with_depth(depth.bfloat16(), projection[:, 0], target, depth)
    with pytest.raises(ValueError, match="inverse_depth must be at least 2 px high and wide, got 12 x 1"):
        kernels.minimum_reprojection(depth[..., :1], projection, target[..., :1], sources[..., :1])
    with pytest.raises(ValueError, match=r"identity_error must have shape \(B H W\)"):
        kernels.minimum_reprojection(depth, projection, target, sources, depth)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_kernels_run_once_for_each_sample(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    counts = torch.zeros(5)

    def count(sample, values):
        values[sample] += 1

    compiling.for_each_sample(count, 5, counts)
    assert counts.tolist() == [1] * 5


def test_errors_in_kernels_are_not_lost():
    def fail(sample):
        raise RuntimeError(f"sample {sample}")

    with pytest.raises(RuntimeError, match="sample"):
        compiling.for_each_sample(fail, 2)
