"""The protocol: what every data set answers, whatever it is made of."""

import shutil

import numpy as np
import pytest
import torch
from making_clips import sliding_frames, write_images
from PIL import Image

from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.batches import ClipBatch, LabelledBatch, as_images
from geopretrain.data.dataset import Dataset, Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import ConfigError, DataError

SIZE = (64, 96)


def write_labelled(root, count=10, size=SIZE):
    rng = np.random.default_rng(0)
    for number in range(count):
        for name, shape in (("images", (*size, 3)), ("labels", size)):
            (root / name).mkdir(parents=True, exist_ok=True)
            values = rng.integers(0, 2 if name == "labels" else 255, shape, dtype=np.uint8)
            Image.fromarray(values).save(root / name / f"{number:03d}.png")
    (root / "classes.txt").write_text("road 1 2 3\nsky 4 5 6\n")
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    write_images(root / "a", sliding_frames(16, 3.0, SIZE))
    return prepare(root / "a", root / "store", size=SIZE, holdout=0.2, progress=False)


@pytest.fixture
def labelled(tmp_path):
    return LabelledSet.open(write_labelled(tmp_path / "set"))


@pytest.fixture(params=["store", "labelled"])
def dataset(request) -> Dataset:
    return request.getfixturevalue(request.param)


def fields_of(dataset) -> Fields:
    return Fields((0, -1, 1)) if isinstance(dataset, FrameStore) else Fields(names=("labels",))


def test_dataset_splits_are_disjoint_positions_of_one_space(dataset):
    splits = dataset.splits(fields_of(dataset))
    assert list(splits)[:2] == ["train", "val"]
    together = np.concatenate(list(splits.values()))
    assert together.dtype == np.int64
    assert len(set(together.tolist())) == len(together) <= len(dataset)
    assert together.min() >= 0
    assert together.max() < len(dataset)


def test_dataset_batches_have_a_length_an_index_and_the_described_size(dataset):
    chosen = dataset.splits(fields_of(dataset))["train"][[1, 0]]
    batch = dataset.read(chosen, fields_of(dataset)).to("cpu")
    assert len(batch) == 2
    assert batch.index.tolist() == chosen.tolist()
    assert tuple(batch.images.shape[-2:]) == dataset.describe().size
    assert batch.images.dtype == torch.uint8
    again = dataset.read(chosen[[1]], fields_of(dataset))
    assert torch.equal(again.images[0], batch.images[1])
    assert len(set(dataset.names(chosen))) == 2


def test_dataset_describes_what_it_has(store, labelled):
    described = store.describe()
    assert described.kind == "frame store"
    assert described.counts == {"train": len(store.train_samples), "val": len(store.val_samples)}
    assert described.fields == ()
    assert described.neighbours
    described = labelled.describe()
    assert described.fields == ("labels",)
    assert described.class_names == ("road", "sky")
    assert described.class_colours == ((1, 2, 3), (4, 5, 6))
    assert described.in_words() == "folder: 7 train, 1 val, 2 test, 2 classes, 64x96 px (height x width)"


def test_dataset_says_what_is_missing(dataset):
    with pytest.raises(DataError, match="boxes of objects"):
        dataset.splits(Fields(names=("boxes",)))
    with pytest.raises(DataError, match="boxes"):
        dataset.check([0], Fields(names=("boxes",)))
    with pytest.raises(ConfigError, match="does not exist"):
        dataset.read([len(dataset)], Fields())
    with pytest.raises(ConfigError, match="Did you mean 'boxes'"):
        Fields(names=("boxs",))


def test_dataset_fingerprint_is_of_the_content(store, tmp_path):
    def copy(place):
        return shutil.copytree(store.path, tmp_path / place)

    moved = FrameStore.open(copy("moved"))
    assert moved.fingerprint() == store.fingerprint()
    pixels = bytearray((copy("other") / "frames.u8").read_bytes())
    pixels[len(pixels) // 2] ^= 1
    (tmp_path / "other" / "frames.u8").write_bytes(pixels)
    assert FrameStore.open(tmp_path / "other").fingerprint() != store.fingerprint()


def test_dataset_fingerprint_of_labelled_images(labelled, tmp_path):
    shutil.copytree(tmp_path / "set", tmp_path / "moved")
    assert LabelledSet.open(tmp_path / "moved").fingerprint() == labelled.fingerprint()
    (tmp_path / "moved" / "classes.txt").write_text("road\nsea\n")
    assert LabelledSet.open(tmp_path / "moved").fingerprint() != labelled.fingerprint()


def test_labels_come_only_where_they_are_asked_for(labelled):
    assert labelled.read([0], Fields()).labels is None
    with pytest.raises(DataError, match="holds no class maps"):
        labelled.read([0], Fields()).required("labels")


def test_target_frames_of_clips_are_images(store):
    clips = store.read([0, 1], Fields((0, 1)))
    images = as_images(clips)
    assert isinstance(clips, ClipBatch)
    assert torch.equal(images.images, clips.images[:, 0])
    assert as_images(images) is images


def test_mirrored_images_take_their_boxes_masks_and_depth_along():
    image = torch.zeros(1, 3, 4, 10, dtype=torch.uint8)
    image[..., 2:5] = 255
    mask = image[:, 0] > 0
    batch = LabelledBatch(
        image,
        mask.long(),
        torch.arange(1),
        boxes=(torch.tensor([[2.0, 0.0, 5.0, 4.0]]),),
        masks=(mask,),
        depth=mask[:, None].float(),
    )
    mirrored = augment_labelled(batch, flip=1.0)
    assert mirrored.boxes[0].tolist() == [[5.0, 0.0, 8.0, 4.0]]
    inside = torch.zeros(4, 10, dtype=torch.bool)
    inside[:, 5:8] = True
    for found in (mirrored.images[0, 0], mirrored.labels[0], mirrored.masks[0][0], mirrored.depth[0, 0]):
        assert torch.equal(found > 0, inside)
    assert torch.equal(augment_labelled(batch, flip=0.0).boxes[0], batch.boxes[0])
