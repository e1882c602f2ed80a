import numpy as np
import pytest
from PIL import Image

from geopretrain.data.readers.images import image_size, read_image
from geopretrain.errors import DataError

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)


def save(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_images_grey_is_repeated(tmp_path):
    image = read_image(save(tmp_path, Image.fromarray(GRADIENT)))
    assert image.shape == (16, 16, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.stack([GRADIENT] * 3, -1))


def test_images_16_bit_full_range_divided_by_257(tmp_path):
    values = np.array([[0, 257, 128, 129, 65535, 65535 - 257]], dtype=np.uint16)
    image = read_image(save(tmp_path, Image.fromarray(values)))
    assert image[0, :, 0].tolist() == [0, 1, 0, 1, 255, 254]


def test_images_alpha_is_composited_over_black(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]
    image = read_image(save(tmp_path, Image.fromarray(rgba)))
    assert image[0, 0].tolist() == [200, 100, 50]
    assert image[0, 1].tolist() == [0, 0, 0]
    assert np.abs(image[0, 2].astype(int) - [100, 50, 25]).max() <= 1


def test_images_grey_with_alpha(tmp_path):
    values = np.array([[[80, 255], [80, 0]]], np.uint8)
    image = read_image(save(tmp_path, Image.fromarray(values, "LA")))
    assert image[0].tolist() == [[80, 80, 80], [0, 0, 0]]


def test_images_palette_with_transparency(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putdata([0, 1])
    image = read_image(save(tmp_path, picture, transparency=1))
    assert image[0].tolist() == [[10, 20, 30], [0, 0, 0]]


def test_images_cmyk(tmp_path):
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # pure red
    image = read_image(save(tmp_path, picture, "a.tif"))
    assert image[4, 4].tolist() == [255, 0, 0]


def test_images_one_bit(tmp_path):
    picture = Image.fromarray(GRADIENT > 100)
    assert set(np.unique(read_image(save(tmp_path, picture)))) == {0, 255}


def test_images_exif_orientation_is_applied(tmp_path):
    picture = Image.fromarray(np.repeat(GRADIENT[:8, :, None], 3, 2))  # 8 high, 16 wide
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = save(tmp_path, picture, "a.png", exif=exif)
    image = read_image(path)
    assert image.shape == (16, 8, 3)
    assert image_size(path) == (16, 8)
    assert np.array_equal(image[..., 0], np.rot90(GRADIENT[:8], -1))


def test_images_float_has_no_rule(tmp_path):
    path = save(tmp_path, Image.fromarray(np.ones((4, 4), np.float32)), "a.tif")
    with pytest.raises(DataError, match="floating-point"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_truncated_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path, Image.fromarray(noise), f"frame7.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"frame7.*damaged or truncated"):
        read_image(path)


def test_images_bad_files_are_named(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    for name, words in (
        ("empty.png", "0 bytes"),
        ("text.png", "not an image"),
        ("gone.png", "does not exist"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(DataError, match="folder"):
        read_image(tmp_path)
