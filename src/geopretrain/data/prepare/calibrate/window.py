"""A few frames reconstructed by COLMAP with one unknown camera, in a process of its own.

``python -m geopretrain.data.prepare.calibrate.window FOLDER`` reads ``FOLDER/frames/*.png`` and writes
``FOLDER/result.json`` (`WindowResult`) and the model, ``FOLDER/kept``. COLMAP ends its process where a check
of its own fails and answers signals itself, which a preparation must survive.

Global mapping needs a focal length to begin with, and what the relations of pairs of frames say of it is far
off on driving video (all cameras look the same way, Sturm 1999). So it begins with several, bundle adjustment
brings each to a minimum, and the one that explains most of the tracks is kept.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FRAMES, RESULT, KEPT = "frames", "result.json", "kept"
_STARTS = (0.6, 1.0, 1.6, 0.4)
"""Focal lengths to begin with, in long sides of the picture: 80, 53, 35 and 103 degrees."""
_GOOD_ERROR, _ALIKE = 1.0, 0.04
"""Mean error (px) and difference of two results at which no other beginning is tried."""
_FEATURES, _OVERLAP = 3000, 6
_FAR = 2.0  # px, beyond which a point counts as not explained
_PROBE = 0.04  # fraction by which the focal length is moved to see how much it matters
_LIKELY = (0.2, 4.0)  # long sides


@dataclass(frozen=True)
class WindowResult:
    """What the frames of a window say of their camera.

    Attributes:
        frames, registered: number of frames, and of those with a pose.
        points, observations: of the reconstruction.
        error: mean reprojection error, px of the frames as given.
        focal: of a camera with one coefficient of radial distortion, in long sides of the picture.
        bend: this coefficient, COLMAP's SIMPLE_RADIAL.
        pinhole_focal: of a camera without.
        pinhole_error: mean reprojection error of that one.
        uncertainty: formal standard deviation of the focal length, relative.
    """

    frames: int
    registered: int = 0
    points: int = 0
    observations: int = 0
    error: float = 0.0
    focal: float = 0.0
    bend: float = 0.0
    pinhole_focal: float = 0.0
    pinhole_error: float = 0.0
    uncertainty: float = 1.0


def reconstruct(folder: Path) -> WindowResult:
    """Reconstruct the frames of a folder."""
    import pycolmap

    pycolmap.logging.minloglevel = 3
    count = len(list((folder / FRAMES).glob("*.png")))
    database = folder / "database.db"
    _find_matches(folder, database)
    with pycolmap.Database.open(database) as opened:
        camera = opened.read_all_cameras()[0]
    side = max(camera.width, camera.height)
    tried: list[Any] = []
    for start in _STARTS:
        model = _mapped(folder, database, start * side)
        if model is not None:
            tried.append(model)
        if _agree(tried, count):
            break
    if not tried:
        return WindowResult(count)
    return _result(max(tried, key=_explained), count, folder / KEPT)


def _find_matches(folder: Path, database: Path) -> None:
    """Extract SIFT features and match each frame with the next ones."""
    import pycolmap

    extraction = pycolmap.FeatureExtractionOptions()
    extraction.num_threads = 1
    extraction.sift.first_octave, extraction.sift.max_num_features = 0, _FEATURES
    extraction.sift.max_num_orientations, extraction.sift.peak_threshold = 1, 0.004
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_PINHOLE"
    pycolmap.extract_features(
        database,
        folder / FRAMES,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    matching, pairing = pycolmap.FeatureMatchingOptions(), pycolmap.SequentialPairingOptions()
    matching.num_threads = pairing.num_threads = 1
    pairing.overlap, pairing.quadratic_overlap = _OVERLAP, True
    pycolmap.match_sequential(database, matching, pairing, _verification(), device=pycolmap.Device.cpu)


def _verification() -> Any:
    import pycolmap

    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = 0
    return options


def _mapped(folder: Path, database: Path, focal: float) -> Any:
    """Return the largest reconstruction that begins with a focal length (px), None where there is none."""
    import pycolmap

    copy, out = folder / "begun.db", folder / "models"
    shutil.copy(database, copy)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    with pycolmap.Database.open(copy) as opened:
        camera = opened.read_all_cameras()[0]
        camera.params = [focal, *camera.params[1:]]
        camera.has_prior_focal_length = True
        opened.update_camera(camera)
        opened.clear_two_view_geometries()
    verifier = pycolmap.GeometricVerifierOptions()
    verifier.num_threads = 1
    pycolmap.geometric_verification(copy, verifier, two_view_geometry_options=_verification())
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = 0
    options.mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    try:
        models = pycolmap.global_mapping(copy, folder / FRAMES, out, options)
    except (RuntimeError, ValueError):
        return None
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _agree(models: list[Any], count: int) -> bool:
    """Return whether the last two good ones of some reconstructions have one focal length."""
    good = [m for m in models if m.num_reg_images() > 0.7 * count]
    good = [m for m in good if m.compute_mean_reprojection_error() < _GOOD_ERROR]
    if len(good) < 2:
        return False
    first, second = (_camera(model).focal_length for model in good[-2:])
    return bool(abs(first / second - 1) < _ALIKE)


def _camera(model: Any) -> Any:
    return next(iter(model.cameras.values()))


def _explained(model: Any) -> float:
    """Return how much of the tracks a model explains: observations, less where their error is larger."""
    camera = _camera(model)
    side = max(camera.width, camera.height)
    if not _LIKELY[0] < camera.focal_length / side < _LIKELY[1]:
        return 0.0
    points = model.points3D.values()
    return float(sum(p.track.length() * max(0.0, 1 - (p.error / _FAR) ** 2) for p in points))


def _result(model: Any, count: int, kept: Path) -> WindowResult:
    """Return what a reconstruction says of the camera, with and without distortion."""
    import pycolmap

    kept.mkdir(exist_ok=True)
    model.write(kept)
    side = max(_camera(model).width, _camera(model).height)
    straight, bent = pycolmap.Reconstruction(kept), pycolmap.Reconstruction(kept)
    adjust(straight)
    _let_bend(bent)
    adjust(bent)
    camera, error = _camera(bent), bent.compute_mean_reprojection_error()
    bent.write(kept)
    return WindowResult(
        count,
        model.num_reg_images(),
        model.num_points3D(),
        int(model.compute_num_observations()),
        float(error),
        float(camera.focal_length / side),
        float(camera.params[3]),
        float(_camera(straight).focal_length / side),
        float(straight.compute_mean_reprojection_error()),
        _uncertainty(kept, float(error)),
    )


def _let_bend(model: Any) -> None:
    """Give the camera one coefficient of radial distortion."""
    import pycolmap

    camera = _camera(model)
    parameters = [*camera.params, 0.0]
    camera.model = pycolmap.CameraModelId.SIMPLE_RADIAL
    camera.params = parameters


def adjust(model: Any, *, focal: bool = True, bend: bool = True) -> None:
    """Adjust poses and points of a model, and what is asked for of its camera."""
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length, options.refine_extra_params = focal, bend
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(model, options)


def _uncertainty(kept: Path, error: float) -> float:
    """Return the relative standard deviation of the focal length, from how the error grows when it is moved.

    Errors of neighbouring frames hang together, so that this is too small; it tells windows apart.
    """
    import pycolmap

    growth = 0.0
    for factor in (1 - _PROBE, 1 + _PROBE):
        model = pycolmap.Reconstruction(kept)
        camera = _camera(model)
        camera.params = [camera.params[0] * factor, *camera.params[1:]]
        adjust(model, focal=False)
        moved = model.compute_mean_reprojection_error()
        growth += (
            max((moved / error) ** 2 - 1, 0.0) * model.compute_num_observations()
        )  # two residuals, two ways
    return float(min(1.0, _PROBE / growth**0.5)) if growth > 0 else 1.0


def main(folder: Path) -> None:
    """Reconstruct the frames of a folder and write the result beside them."""
    text = json.dumps(asdict(reconstruct(folder)))
    (folder / "result.part").write_text(text, encoding="utf-8")
    (folder / "result.part").replace(folder / RESULT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
