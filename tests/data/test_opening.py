import numpy as np
import pytest
from making_clips import sliding_frames, write_images
from PIL import Image

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.opening import open_dataset
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError

SIZE = (64, 96)
TRIPLETS, ALONE, LABELS = Fields((0, -1, 1)), Fields(), Fields(names=("labels",))


@pytest.fixture
def frames(tmp_path):
    return write_images(tmp_path / "clip", sliding_frames(12, 3.0, SIZE))


def test_what_a_task_needs_decides_what_a_folder_is_opened_as(frames):
    assert not open_dataset(frames, TRIPLETS).still_images
    assert open_dataset([frames], ALONE).still_images
    images = open_dataset(f"images:{frames}", ALONE)
    assert isinstance(images, LabelledSet)
    assert images.counts == {"train": 11, "val": 1}
    with pytest.raises(DataError, match="no known labelled data set"):
        open_dataset(frames, LABELS)
    with pytest.raises(DataError, match="one data set, not 2"):
        open_dataset([f"images:{frames}", frames], ALONE)


def test_photographs_given_as_video_are_told_how_to_be_given(tmp_path):
    for number, size in enumerate([(64, 96), (96, 64), (80, 80), (70, 90)]):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match=f"mixes image sizes.* give images:{tmp_path}"):
        open_dataset(tmp_path, ALONE)
    with pytest.raises(DataError) as refused:
        open_dataset(tmp_path, TRIPLETS)  # which needs video
    assert "images:" not in str(refused.value)


def test_labelled_images_are_opened_where_labels_are_needed(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / folder / f"{number}.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert isinstance(open_dataset(tmp_path, LABELS, default_size=(32, 64)), LabelledSet)


def test_a_store_is_opened_as_it_is_and_refuses_another_size(frames):
    store = open_dataset(frames, TRIPLETS, default_size=SIZE)
    assert isinstance(store, FrameStore)
    assert open_dataset(store.path, TRIPLETS, default_size=(128, 192)).size == SIZE
    assert open_dataset(store.path, TRIPLETS, size=SIZE).size == SIZE
    with pytest.raises(ConfigError, match=r"frames of 64x96 px.*not 128x192"):
        open_dataset(store.path, TRIPLETS, size=(128, 192))
    with pytest.raises(DataError, match=r"holds no class maps.*labelled data set instead"):
        open_dataset(store.path, LABELS).splits(LABELS)
