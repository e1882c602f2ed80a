"""Stereo, shared encoder, learned focal length and patches of Monodepth2."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from monodepth_worlds import clips
from multiscale_loss import multiscale_reprojection

from geopretrain import geometry
from geopretrain.data.batches import ClipBatch
from geopretrain.errors import ConfigError, DataError
from geopretrain.networks import LearnedFocal, MetricScale
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, load_weights, parse_init, save_weights

STEP = Step(0, 1)

SMALL = MonodepthConfig(backbone="test_resnet", tie_noise=0.0)


def make_task(init="random", **options) -> Monodepth:
    torch.manual_seed(0)
    return Monodepth.create(replace(SMALL, **options), parse_init(init))[0]


def single(batch: ClipBatch) -> ClipBatch:
    """Return the batch as a method without neighbours in time gets it."""
    return replace(batch, images=batch.images[:, :1], offsets=(0,))


def as_floats(batch: ClipBatch) -> ClipBatch:
    images, stereo = batch.images.float() / 255, batch.stereo.float() / 255
    return replace(batch, images=images, stereo=stereo)


@pytest.mark.parametrize(
    ("supervision", "offsets", "needs", "meaning"),
    [
        ("mono", (0, -1, 1), (), "scale"),
        ("stereo", (0,), ("stereo",), "metric"),
        ("both", (0, -1, 1), ("stereo",), "metric"),
    ],
)
def test_each_supervision_says_what_it_needs(supervision, offsets, needs, meaning):
    task = make_task(supervision=supervision)
    assert (task.required.frames, task.required.names, task.depth_meaning) == (offsets, needs, meaning)
    saved = {name.split(".")[0] for name in export_state(task)}
    assert ("pose" in saved) == (supervision != "stereo")
    assert ("scale" in saved) == bool(needs)


def test_the_papers_settings_go_with_the_resolution():
    low, high = make_task().presets["paper"], make_task(resolution="1024x320").presets["paper"]
    assert (low.size, low.epochs, low.lr) == ((192, 640), 20, 1e-4)
    assert (high.size, high.epochs, high.lr) == ((320, 1024), 5, 1e-5)


def test_the_short_preset_is_slower_after_imagenet_alone():
    short = make_task().presets["short"]
    assert {kind: short.of_init(kind).lr for kind in ("random", "imagenet", "run")} == {
        "random": 3e-4,
        "imagenet": 1e-4,
        "run": 3e-4,
    }


@pytest.mark.parametrize("supervision", ["stereo", "both"])
def test_all_sources_reach_the_loss_each_with_its_camera(supervision, monkeypatch):
    given = {}
    plain = geometry.inverse_depth_projection

    def spy(intrinsics, poses, size, cameras):
        given.update(poses=poses, cameras=cameras)
        return plain(intrinsics, poses, size, cameras)

    monkeypatch.setattr(geometry, "inverse_depth_projection", spy)
    batch = as_floats(clips())
    batch = replace(batch, stereo_intrinsics=batch.stereo_intrinsics * torch.tensor([1.1, 1.1, 1])[:, None])
    batch = single(batch) if supervision == "stereo" else batch
    task = make_task(supervision=supervision)
    scene, logs = task._scene(batch)
    assert torch.equal(scene.sources, torch.cat([batch.images[:, 1:], batch.stereo[:, None]], 1))
    assert torch.equal(given["cameras"][:, -1], batch.stereo_intrinsics)
    assert all(torch.equal(K, batch.intrinsics) for K in given["cameras"].unbind(1)[:-1])
    stereo_pose = torch.eye(4)
    stereo_pose[0, 3] = -0.1
    torch.testing.assert_close(given["poses"][:, -1], stereo_pose.expand(4, 4, 4))
    assert task.loss(batch, STEP)[0].isfinite()
    assert ("pose_translation" in logs) == (supervision == "both")


def test_a_unit_is_ten_of_the_first_baselines():
    scale = MetricScale()
    kitti, half = (torch.eye(4)[None].repeat(2, 1, 1) for _ in range(2))
    kitti[:, 0, 3], half[:, 0, 3] = -0.54, 0.27
    assert scale.eval()(half)[0, 0, 3].item() == pytest.approx(0.1)
    assert scale.metres_per_unit == 0  # looking does not set it
    assert scale.train()(kitti)[:, 0, 3].tolist() == pytest.approx([-0.1, -0.1])
    assert scale(half)[0, 0, 3].item() == pytest.approx(0.05)
    assert scale.metres_per_unit.item() == pytest.approx(5.4)


def test_after_stereo_the_prediction_is_metric_and_stays_so_in_the_run_folder(tmp_path):
    task = make_task(supervision="both")
    task.loss(as_floats(clips()), STEP)
    task.eval()
    images = as_floats(clips()).images[:, 0]
    baseline = clips().T_target_to_stereo[0, 0, 3].abs().item()
    assert task.findings() == {"metres_per_unit": pytest.approx(10 * baseline)}
    with torch.no_grad():
        units = geometry.disparity_to_inverse_depth(task.depth_net(images)[0], 0.1, 100)
        torch.testing.assert_close(task.predict(images).disparity, units / (10 * baseline))
        save_weights(task, tmp_path)
        other = make_task(supervision="both").eval()
        load_weights(other, tmp_path)
        torch.testing.assert_close(other.predict(images).disparity, task.predict(images).disparity)


@pytest.mark.parametrize(("supervision", "begin"), [("mono", 0.2), ("stereo", 2.0), ("both", 2.0)])
def test_with_stereo_new_output_layers_begin_at_twenty_baselines(supervision, begin):
    """At two baselines, a sigmoid of one half, a long lens sees little of what the left image shows."""
    task = make_task(supervision=supervision).eval()
    with torch.no_grad():
        sigmoids = task.depth_net(as_floats(clips()).images[:, 0])
        for sigmoid in sigmoids:
            depth = 1 / geometry.disparity_to_inverse_depth(sigmoid, 0.1, 100)
            assert depth.median().item() == pytest.approx(begin, rel=0.35)


def test_true_depth_explains_the_right_image():
    """The pose's sign and unit fit the worlds: the right camera is a tenth of a unit away."""
    batch = as_floats(clips(size=(96, 160)))
    unit = 10 * batch.T_target_to_stereo[0, 0, 3].abs()
    depth = torch.where(batch.depth > 0, batch.depth, 1e4)
    sigmoid = (unit / depth - 0.01) / 9.99
    pose = MetricScale()(batch.T_target_to_stereo)
    arguments = ([sigmoid], batch.images[:, 0], batch.stereo[:, None], batch.intrinsics)
    right = multiscale_reprojection(*arguments, pose[:, None], noise=0)
    wrong = multiscale_reprojection(*arguments, geometry.invert_pose(pose)[:, None], noise=0)
    assert right.reprojection_error < 0.35 * right.identity_error
    assert right.reprojection_error < 0.35 * wrong.reprojection_error


def test_metric_depth_is_learned_from_stereo():
    """AbsRel in metres, without any scaling, at most 0.8 of what the best constant depth has."""
    batch = single(clips(count=8))
    task = make_task(supervision="stereo", backbone="resnet18", jitter=0.0)
    task.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(task.parameter_groups(5e-4))
    for step in range(60):
        torch.manual_seed(step)
        optimiser.zero_grad()
        task.loss(task.train_transform(batch), STEP)[0].backward()
        optimiser.step()
    with torch.no_grad():
        depth = 1 / task.eval().predict(as_floats(batch).images[:, 0]).disparity
    measured = (batch.depth > 0) & (batch.depth < 80)
    truth = batch.depth[measured]
    error = ((depth[measured] - truth).abs() / truth).mean()
    guesses = torch.linspace(truth.min(), truth.max(), 200)
    best_constant = min(((guess - truth).abs() / truth).mean() for guess in guesses)
    assert error < 0.8 * best_constant, (error, best_constant)


def test_data_without_stereo_pairs_are_refused():
    with pytest.raises(DataError, match="The batch holds no"):
        make_task(supervision="stereo").loss(single(replace(as_floats(clips()), stereo=None)), STEP)


@pytest.mark.parametrize("supervision", ["mono", "both"])
def test_a_shared_encoder_sees_each_frame_once(supervision):
    task = make_task(supervision=supervision, shared_encoder_pose=True)
    seen = []
    task.depth_net.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[0]))
    batch = as_floats(clips())
    task.loss(batch, STEP)[0].backward()
    assert seen == [3 * len(batch.images)]
    assert task.pose_net.decoder.squeeze.weight.grad.abs().sum() > 0
    assert not [name for name in export_state(task) if name.startswith("pose.backbone")]
    task.eval()
    with torch.no_grad():
        frames = batch.images
        features = [task.depth_net.backbone(frames[:, i])[-1] for i in range(3)]
        before = geometry.pose_matrix(*task.pose_net.motion(torch.cat([features[1], features[0]], 1)))
        after = geometry.pose_matrix(*task.pose_net.motion(torch.cat([features[0], features[2]], 1)))
        poses = task._motion(task._encode(frames)[1], batch)[0]
        torch.testing.assert_close(poses[:, 0], geometry.invert_pose(before), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(poses[:, 1], after, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(
            task.predict(frames[:, 0]).disparity[:1], task.predict(frames[:1, 0]).disparity
        )


def test_every_variant_draws_pictures_of_what_it_does():
    batch = clips(count=2)
    for options in ({"supervision": "both"}, {"shared_encoder_pose": True}, {"learned_intrinsics": "clip"}):
        rows = make_task(**options).eval().pictures(batch)
        assert list(rows) == ["sample_00", "sample_01"]
    rows = make_task(supervision="stereo").eval().pictures(single(batch))
    assert rows["sample_00"].shape[1] > 4 * 96


def turning_camera(focal=40.0, size=(48, 72), count=6):
    """Far-away texture before and after the camera has rotated by as much: target, both, rotations."""
    generator = torch.Generator().manual_seed(2)
    K = torch.tensor([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1.0]])
    sky_K = torch.tensor([[focal, 0, 160.0], [0, focal, 120.0], [0, 0, 1.0]])
    sky = F.interpolate(torch.rand(1, 3, 15, 20, generator=generator), (240, 320), mode="bicubic").clamp(0, 1)
    rotations = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([0.15, 0.2, 0.05])
    vectors = torch.stack([0 * rotations, rotations, -rotations], 1).flatten(0, 1)
    rays = torch.linalg.inv(K) @ geometry.pixel_grid(*size).flatten(1)
    seen = (sky_K @ geometry.rotation_from_axis_angle(vectors).mT @ rays).unflatten(2, size)
    pictures = geometry.sample(sky.expand(len(seen), -1, -1, -1), seen[:, :2] / seen[:, 2:])
    pictures = pictures.unflatten(0, (count, 3))
    return K, pictures[:, 0], pictures[:, 1:], rotations


def test_rotation_tells_the_focal_length():
    """Nothing but focal length and rotations is learned, the first guess being 1.6 times and half of them."""
    K, target, sources, truth = turning_camera()
    guess = (K * torch.tensor([[1.6, 1, 1], [1, 1.6, 1], [1, 1, 1]])).expand(len(truth), 3, 3)
    camera, rotations = LearnedFocal(), (0.5 * truth).requires_grad_()
    optimiser = torch.optim.Adam([rotations, *camera.parameters()], lr=1e-2)
    flat = [torch.full((len(truth), 1, *target.shape[-2:]), 1e-6)]
    for _ in range(100):
        optimiser.zero_grad()
        poses = [geometry.pose_matrix(v, torch.zeros_like(v)) for v in (rotations, -rotations)]
        learned = camera(guess, None)
        multiscale_reprojection(
            flat, target, sources, learned, torch.stack(poses, 1), automask=False, noise=0
        ).loss.backward()
        optimiser.step()
    assert learned[0, 0, 0].item() == pytest.approx(40, rel=0.03)
    assert (rotations - truth).abs().max() < 0.05 * truth.abs().max()


@pytest.mark.parametrize("kind", ["dataset", "clip"])
def test_the_learned_focal_length_keeps_what_is_known(kind):
    """Principal point (after flips and crops) and the shape of a pixel are those of the given intrinsics."""
    task, batch = make_task(learned_intrinsics=kind), as_floats(clips())
    given = batch.intrinsics.clone()
    given[:, 1, 1] *= 1.3
    given[1, 0, 2] += 7
    batch = replace(batch, intrinsics=given)
    optimiser = torch.optim.Adam(task.parameter_groups(1e-3))
    for _ in range(2):
        optimiser.zero_grad()
        loss, logs = task.loss(batch, STEP)
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in task.camera.parameters())
        optimiser.step()
    _, views = task._encode(batch.images)
    learned = task._motion(views, batch)[1].detach()
    assert torch.equal(learned[:, :2, 2], given[:, :2, 2])
    ratio = learned[:, [0, 1], [0, 1]] / given[:, [0, 1], [0, 1]]
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1])
    assert (ratio[:, 0] - 1).abs().max() > 1e-3
    assert (ratio[:, 0].std() > 0) == (kind == "clip")
    assert logs["focal_factor"].item() != 1
    assert task.findings()["learned_focal_length_px"][0] == pytest.approx(given[0, 0, 0].item(), rel=0.2)


@pytest.mark.parametrize("options", [{}, {"learned_intrinsics": "clip"}, {"shared_encoder_pose": True}])
def test_bfloat16_changes_the_loss_of_variants_little(options):
    task, batch = make_task(supervision="mono", **options).eval(), as_floats(clips())
    exact = task.loss(batch, STEP)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, logs = task.loss(batch, STEP)
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)
    assert all(v.dtype == torch.float32 for v in logs.values())


def test_patches_know_nothing_of_their_place_but_their_camera_does():
    task = make_task(crop=64, supervision="both", flip=0.0, jitter=0.0)
    whole = clips()
    torch.manual_seed(1)
    batch = task.train_transform(whole)
    assert batch.images.shape[-2:] == batch.stereo.shape[-2:] == (64, 64)
    moved = (whole.intrinsics - batch.intrinsics)[:, :2, 2].round().long().tolist()
    for i, (left, top) in enumerate(moved):
        window = whole.images[i, ..., top : top + 64, left : left + 64].float() / 255
        assert torch.equal(window, batch.images[i])
    assert len({tuple(corner) for corner in moved}) > 1
    assert task.loss(batch, STEP)[0].isfinite()
    assert task.eval_transform(whole).images.shape[-2:] == whole.images.shape[-2:]
    with pytest.raises(ConfigError, match="A crop of 96x96"):
        make_task(crop=96).train_transform(whole)


def test_chains_keep_what_fits_and_say_what_does_not(tmp_path):
    first = make_task(supervision="both")
    first.loss(as_floats(clips()), STEP)
    save_weights(first, tmp_path)
    lineage = {"backbone": "test_resnet", "method": "monodepth", "init": "random", "chain": []}
    (tmp_path / "lineage.json").write_text(
        json.dumps(lineage | {"normalisation": first.depth_net.backbone.normalisation})
    )
    again, report = Monodepth.create(replace(SMALL, supervision="stereo"), parse_init(tmp_path))
    assert again.scale.metres_per_unit == first.scale.metres_per_unit
    assert ("pose.decoder.out.bias", "no part of this task") in report.skipped
    shared, report = Monodepth.create(replace(SMALL, shared_encoder_pose=True), parse_init(tmp_path))
    assert "pose.decoder.squeeze.weight" in report.reinitialised
    torch.testing.assert_close(shared.pose_net.decoder.conv1.weight, first.pose_net.decoder.conv1.weight)


HEALTHY = {"valid_fraction": 0.9, "disparity_std": 0.1, "identity_error": 0.1, "reprojection_error": 0.05}


def test_diagnostics_of_the_variants():
    stereo = make_task(supervision="stereo")
    assert stereo.diagnostics(HEALTHY, 500) == []
    (found,) = stereo.diagnostics(HEALTHY | {"reprojection_error": 0.1}, 500)
    assert "left and right may be swapped" in found
    (found,) = make_task(learned_intrinsics="dataset").diagnostics(HEALTHY | {"focal_factor": 6.0}, 500)
    assert "6.0 times the first guess" in found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"supervision": "sterio"}, "Did you mean 'stereo'"),
        ({"learned_intrinsics": "video"}, "must be one of none, dataset, clip"),
        ({"resolution": "1024x192"}, "resolution must be one of"),
        ({"crop": 50}, "crop must be 0 or at least 64, not 50"),
        ({"supervision": "both", "learned_intrinsics": "dataset"}, "calibrated"),
        ({"supervision": "stereo", "shared_encoder_pose": True}, "no motion to predict"),
    ],
)
def test_impossible_combinations_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        MonodepthConfig(**options)


def test_stereo_from_a_store_to_metric_results(tmp_path):
    from geopretrain.commands.pretrain import pretrain
    from geopretrain.data.prepare.preparation import prepare

    source = "synthetic:street?frames=12&height=64&width=96&worlds=1"
    store = prepare(source, tmp_path / "store", size=(64, 96), progress=False)
    run = pretrain(
        data=store.path,
        out=tmp_path / "run",
        backbone="test_resnet",
        steps=2,
        batch_size=2,
        settings=["supervision=both"],
        device="cpu",
        precision="fp32",
        threads=1,
        progress=False,
    )
    results = json.loads((run.path / "results.json").read_text())
    assert results["findings"]["metres_per_unit"] == pytest.approx(5.4)
    assert results["depth"]["in_sample"]["protocol"].endswith("metric")
