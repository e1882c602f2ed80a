"""From a store to object storage and to a trained network: the same weights as from the folder."""

from __future__ import annotations

import json

import boto3
import numpy as np
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from geopretrain import cli
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.store.frame_store import FrameStore

TINY = ["--steps", "3", "--backbone", "mobilenetv3_small_050", "--batch-size", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("given") / "store"
    return prepare("synthetic:rooms?frames=12&stereo=0&seed=1", out, size=(64, 96), progress=False)


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server of this machine, with a bucket in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="frames")
    s3fs.S3FileSystem.clear_instance_cache()  # which knows the server of another test
    yield client
    server.stop()


def run(*words):
    assert cli.main([str(word) for word in words]) == 0


def trained(folder):
    return (folder / "model.safetensors").read_bytes()


def test_a_training_from_elsewhere_ends_with_the_weights_of_the_local_one(store, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOPRETRAIN_SHARDS_GB", "0.0001")  # two shards at a time: most are fetched again
    place = "memory://training/store"
    run("data", "upload", store.path, place, "--shard-size", "0.04")
    for data, out in ((store.path, "local"), (place, "remote")):
        run("pretrain", "monodepth", "--data", data, "--out", tmp_path / out, "--schedule", "constant", *TINY)
    assert trained(tmp_path / "local") == trained(tmp_path / "remote")
    lineages = [json.loads((tmp_path / name / "lineage.json").read_text()) for name in ("local", "remote")]
    assert lineages[0]["data_fingerprint"] == lineages[1]["data_fingerprint"]
    assert lineages[1]["data"] == place
    for data, name in ((store.path, "remote"), (place, "local")):  # each goes on with the other's data
        run("pretrain", "--resume", tmp_path / name, "--data", data, "--steps", "5")
    assert trained(tmp_path / "local") == trained(tmp_path / "remote")


def test_scores_of_a_store_elsewhere_are_those_of_the_local_one(store, tmp_path):
    place = "memory://scoring/store"
    run("data", "upload", store.path, place)
    run("pretrain", "monodepth", "--data", store.path, "--out", tmp_path / "run", *TINY)
    scores = []
    for number, data in enumerate((store.path, place)):
        run("evaluate", tmp_path / "run", data, "--out", tmp_path / str(number), "--threads", "1")
        (file,) = (tmp_path / str(number)).glob("store-*.json")
        scores.append(json.loads(file.read_text()))
    assert scores[1].pop("data") == place
    assert scores[0].pop("data") == str(store.path)
    assert scores[0] == scores[1]


def test_a_round_trip_through_s3(store, bucket, tmp_path, monkeypatch, capsys):
    run("data", "upload", store.path, "s3://frames/indoor", "--shard-size", "0.1")
    listed = bucket.list_objects_v2(Bucket="frames", Prefix="indoor/")["Contents"]
    assert max(one["Size"] for one in listed if "shards" in one["Key"]) > 90_000
    capsys.readouterr()
    run("data", "upload", store.path, "s3://frames/indoor", "--shard-size", "0.1")
    assert "(0 sent" in capsys.readouterr().out
    monkeypatch.setenv("GEOPRETRAIN_CACHE", str(tmp_path / "cache"))
    there = FrameStore.open("s3://frames/indoor")
    order = np.random.default_rng(0).permutation(len(store))
    assert np.array_equal(there.read(order).images, store.read(order).images)
    assert there.fingerprint() == store.fingerprint()
    clip, frame, _ = store.depth_frames()[0]
    assert np.array_equal(there.depth(clip, frame), store.depth(clip, frame))
    run("pretrain", "simmim", "--data", "s3://frames/indoor", "--out", tmp_path / "run", "--preset", "tiny")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "inspect", "s3://frames/nothing"], "holds no store: there is no sharded-store.json"),
        (["data", "inspect", "s3://no-such-bucket/store"], "holds no store"),
        (["data", "upload", "STORE", "s3://no-such-bucket/store"], "no such bucket or folder"),
        (["data", "prepare", "STORE", "--out", "s3://frames/store"], "data upload FOLDER s3://frames/store"),
        (
            ["data", "pseudo-depth", "s3://frames/indoor", "--teacher", "x/y"],
            "then upload it again",
        ),
    ],
)
def test_what_s3_does_not_have(store, bucket, capsys, words, said):
    if "pseudo-depth" in words:
        run("data", "upload", store.path, "s3://frames/indoor")
    assert cli.main([str(store.path) if word == "STORE" else word for word in words]) == 2
    out, err = capsys.readouterr()
    assert said in (out + err).strip().splitlines()[-1]


def test_nobody_answers_or_lets_in(store, bucket, capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    for words, said in (
        (["data", "inspect", "s3://frames/store"], "Check the address and the network"),
        (["data", "upload", str(store.path), "s3://frames/store"], "Check the address and the network"),
    ):
        s3fs.S3FileSystem.clear_instance_cache()
        assert cli.main(words) == 2
        out, err = capsys.readouterr()
        assert said in out + err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    assert cli.main(["data", "inspect", "s3://frames/store"]) == 2
    out, err = capsys.readouterr()
    assert "does not let you in" in out + err
