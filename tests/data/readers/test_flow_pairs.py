import cv2
import numpy as np
import pytest
from making_clips import sliding_frames, texture
from PIL import Image

from geopretrain.data.readers.flow_files import read_flo, read_kitti_flow
from geopretrain.data.readers.flow_pairs import flow_of_depth, open_flow_pairs
from geopretrain.errors import DataError


def write_flo(path, flow):
    height, width = flow.shape[1:]
    header = np.float32(202021.25).tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(header + flow.transpose(1, 2, 0).astype("<f4").tobytes())


def write_kitti_flow(path, flow, valid):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((*valid.shape, 3), np.uint16)
    values[..., 0], values[..., 1], values[..., 2] = flow[0] * 64 + 32768, flow[1] * 64 + 32768, valid
    cv2.imwrite(str(path), values[..., ::-1])


def test_flow_files_flo_by_hand(tmp_path):
    flow = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    flow[0, 1, 2] = 1.7e9  # the value that means: not known
    write_flo(tmp_path / "a.flo", flow)
    read, valid = read_flo(tmp_path / "a.flo")
    assert valid.tolist() == [[True, True, True], [True, True, False]]
    assert np.array_equal(read[:, valid], flow[:, valid])
    assert read[:, 1, 2].tolist() == [0, 0]


def test_flow_files_damaged_flo_is_named(tmp_path):
    write_flo(tmp_path / "a.flo", np.zeros((2, 4, 5), np.float32))
    data = (tmp_path / "a.flo").read_bytes()
    (tmp_path / "a.flo").write_bytes(data[:-5])
    with pytest.raises(
        DataError, match=r"a\.flo is truncated: 167 bytes where 4x5 px \(height x width\) need 172"
    ):
        read_flo(tmp_path / "a.flo")
    (tmp_path / "a.flo").write_bytes(b"PIEX" + data[4:])
    with pytest.raises(DataError, match=r"no \.flo file"):
        read_flo(tmp_path / "a.flo")


def test_flow_files_kitti_png(tmp_path):
    flow = np.stack([np.full((4, 5), -3.5), np.full((4, 5), 7.25)])
    written = np.zeros((4, 5), bool)
    written[1, 2] = True
    write_kitti_flow(tmp_path / "f.png", flow, written)
    read, valid = read_kitti_flow(tmp_path / "f.png")
    assert np.array_equal(written, valid)
    assert read[:, 1, 2].tolist() == [-3.5, 7.25]  # (right, down)
    assert np.abs(read).sum() == 10.75
    data = (tmp_path / "f.png").read_bytes()
    (tmp_path / "f.png").write_bytes(data[:20])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_kitti_flow(tmp_path / "f.png")
    Image.fromarray(texture(4, 5)).save(tmp_path / "f.png")
    with pytest.raises(DataError, match="three 16-bit channels"):
        read_kitti_flow(tmp_path / "f.png")


def test_flow_pairs_kitti_occlusion_is_what_the_second_map_lacks(tmp_path):
    training = tmp_path / "training"
    frames = sliding_frames(2)
    (training / "image_2").mkdir(parents=True)
    for number, frame in zip((10, 11), frames, strict=True):
        Image.fromarray(frame).save(training / "image_2" / f"000003_{number}.png")
    everywhere, visible = np.ones((96, 128), bool), np.ones((96, 128), bool)
    visible[:, :3] = False
    flow = np.broadcast_to(np.array([-3.0, 0.0])[:, None, None], (2, 96, 128))
    write_kitti_flow(training / "flow_occ" / "000003_10.png", flow, everywhere)
    (found,) = open_flow_pairs(tmp_path)
    assert (found.name, found.kind, found.read().occluded) == ("000003_10", "kitti_flow", None)
    write_kitti_flow(training / "flow_noc" / "000003_10.png", flow, visible)
    pair = open_flow_pairs(tmp_path)[0].read()
    assert np.array_equal(pair.occluded, ~visible)
    # the frames slide 3 px to the left: target[p] = source[p + flow[p]]
    assert np.array_equal(pair.target[:, 3:], pair.source[:, :-3])
    (training / "image_2" / "000003_11.png").unlink()
    (found,) = open_flow_pairs(tmp_path)
    with pytest.raises(DataError, match="not its image '000003_11'"):
        found.read()


def test_flow_pairs_chairs_of_another_size_are_refused(tmp_path):
    for number in (1, 2):
        Image.fromarray(texture(20, 30)).save(tmp_path / f"00007_img{number}.ppm")
    write_flo(tmp_path / "00007_flow.flo", np.zeros((2, 20, 30), np.float32))
    assert open_flow_pairs(tmp_path)[0].read().valid.all()
    write_flo(tmp_path / "00007_flow.flo", np.zeros((2, 20, 29), np.float32))
    with pytest.raises(DataError, match="different sizes"):
        open_flow_pairs(tmp_path)[0].read()


def test_flow_pairs_nothing_there_names_the_layouts(tmp_path):
    with pytest.raises(DataError, match=r"no pairs with optical flow.*KITTI.*FlyingChairs2"):
        open_flow_pairs(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        open_flow_pairs(tmp_path / "gone")


def test_flow_pairs_flow_of_depth_by_hand():
    depth = np.zeros((5, 9))
    depth[2, 6] = 2.0
    camera = np.array([[10.0, 0, 4], [0, 10, 2], [0, 0, 1]])
    right, motion = camera + np.array([[0, 0, 1.0], [0, 0, 0], [0, 0, 0]]), np.eye(4)
    motion[0, 3] = -0.5  # 10 * 0.5 / 2 = 2.5 px to the left, and 1 px back for the other principal point
    flow = flow_of_depth(depth, camera, motion, right)
    assert flow[:, 2, 6].tolist() == [-1.5, 0]
    assert np.count_nonzero(flow) == 1


@pytest.mark.parametrize(
    ("name", "kinds", "gain"),
    [("flow/kitti", ["kitti_flow"], 0.5), ("flow/flyingchairs_crop", ["flying_chairs"], 0.7),
     ("stereo/middlebury2014", ["stereo"], 0.3)],
)  # fmt: skip
def test_flow_pairs_real_flow_takes_the_source_onto_the_target(shared_data, name, kinds, gain):
    pairs = open_flow_pairs(shared_data / name)
    assert [pair.kind for pair in pairs] == kinds
    for pair in (p.read() for p in pairs):
        valid = pair.valid if pair.occluded is None else pair.valid & ~pair.occluded
        y, x = np.indices(valid.shape).astype(np.float32)
        warped = cv2.remap(pair.source, x + pair.flow[0], y + pair.flow[1], cv2.INTER_LINEAR)
        error, unmoved = (np.abs(i.astype(float) - pair.target)[valid].mean() for i in (warped, pair.source))
        assert error < gain * unmoved


def test_flow_pairs_chairs2_goes_forwards_and_backwards(shared_data):
    forwards, backwards = (
        pair.read() for pair in open_flow_pairs(shared_data / "flow" / "flyingchairs2_crop")
    )
    assert (forwards.name, backwards.name) == ("0000000-01", "0000000-10")
    assert np.array_equal(forwards.target, backwards.source)
    seen = ~forwards.occluded & ~backwards.occluded  # with flow under half a pixel one returns to its pixel
    assert 0.9 < seen.mean() < 1
    assert np.median(np.abs(forwards.flow + backwards.flow)[:, seen]) < 0.1
