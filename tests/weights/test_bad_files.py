"""Files that lie, would run code, or are something else: one calm sentence each, and nothing is run."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import pickle
import pickletools
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from geopretrain.cli import main
from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights import backbone_state, init_backbone, parse_init, read_tensors, save_tensors

STATE = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}


def refused(path) -> str:
    """The sentence with which a file is refused as the first weights of a network."""
    with pytest.raises(WeightsError) as error:
        init_backbone("resnet18", parse_init(path))
    sentence = str(error.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence


# ---- pickles
class Calls:
    """Calls a function when it is unpickled the usual way."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path):
    open(path, "w").close()


def attacks(trace):
    yield "os.system", Calls(os.system, f"touch {trace}")
    yield "open", Calls(open, str(trace), "w")
    yield "eval", Calls(eval, f"open({str(trace)!r}, 'w')")
    yield "exec inside a namespace", argparse.Namespace(lr=Calls(exec, f"open({str(trace)!r}, 'w')"))
    yield "inside a dictionary", {"a": [Calls(os.mkdir, str(trace))]}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("legacy", [False, True])
def test_code_beside_good_tensors_is_not_run(tmp_path, number, legacy):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    _, attack = list(attacks(trace))[number]
    content = {"state_dict": backbone_state(Backbone("resnet18")), "args": attack}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert "could run code" in refused(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # it would have run


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_bare_pickles_are_not_run(tmp_path, protocol):
    trace, path = tmp_path / "trace", tmp_path / "evil.safetensors"
    path.write_bytes(pickle.dumps(Calls(os.mkdir, str(trace)), protocol))
    refused(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["argparse.Namespace", "yacs.config.CfgNode", "collections.defaultdict"])
def test_stand_ins_lead_nowhere(tmp_path, name):
    """Neither their attributes nor their classes can be reached from what is read."""
    module, _, kind = name.rpartition(".")
    trace = tmp_path / "trace"
    code = f"c{module}\n{kind}\n(S'{trace}'\ntR(dS'__class__'\ncos\nmkdir\nsb.".encode()
    assert pickletools.dis(code, out=io.StringIO()) is None
    buffer = b"\x80\x02" + code
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", buffer)
        archive.writestr("archive/version", "3\n")
    refused(tmp_path / "a.pth")
    assert not trace.exists()


def test_options_of_a_training_are_left_out_and_tensors_read(tmp_path):
    """Plain objects as official checkpoints hold them: options, paths, NumPy's numbers."""
    from collections import defaultdict
    from pathlib import Path

    beside = {
        "args": argparse.Namespace(lr=0.1, path=Path("data"), nested=argparse.Namespace(a=1)),
        "best": np.float64(0.5),
        "history": np.arange(3),
        "counts": defaultdict(list, {"a": [1]}),
    }
    for legacy in (False, True):
        torch.save({"model": STATE, **beside}, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
        read = read_tensors(tmp_path / "a.pth")
        assert set(read) == set(STATE)
        assert all(torch.equal(read[name], STATE[name]) for name in STATE)


def test_the_unreadable_part_is_named(tmp_path):
    torch.save({"model": STATE, "x": Calls(touch, "a")}, tmp_path / "a.pth")
    assert "which asks for" in refused(tmp_path / "a.pth")


# ---- safetensors that lie
def header(path, entries, data=b"\0" * 32, length=None) -> None:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(start, end, shape=(2, 2), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


LIES = {
    "huge header": ({"a": entry(0, 16)}, 2**63),
    "header beyond the end": ({"a": entry(0, 16)}, 10_000),
    "offsets beyond the end": ({"a": entry(0, 2**40, (2**19, 2**19))}, None),
    "offsets backwards": ({"a": entry(16, 0)}, None),
    "overlapping": ({"a": entry(0, 16), "b": entry(8, 24), "c": entry(24, 32, (2,))}, None),
    "a hole": ({"a": entry(0, 8, (2,)), "b": entry(16, 32)}, None),
    "shape of another size": ({"a": entry(0, 32)}, None),
    "shape that overflows": ({"a": entry(0, 32, (2**40, 2**40))}, None),
    "negative shape": ({"a": entry(0, 32, (-2, -4))}, None),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, None),
    "unknown type": ({"a": entry(0, 32, (8,), "F99")}, None),
    "no JSON": (b'{"a": ', None),
    "no object": (b'{"a": 3}', None),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    "without tensors": ({}, 2),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_headers_that_lie(tmp_path, lie, suffix):
    entries, length = LIES[lie]
    path = tmp_path / f"a{suffix}"
    header(path, entries, data=b"" if lie == "without tensors" else b"\0" * 32, length=length)
    assert "damaged or incomplete" in refused(path) or lie == "without tensors"


def test_safetensors_are_known_by_their_content(tmp_path):
    save_tensors(tmp_path / "a.safetensors", STATE)
    (tmp_path / "a.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert set(read_tensors(tmp_path / "pytorch_model.bin")) == set(STATE)
    torch.save(STATE, tmp_path / "b.safetensors")
    assert set(read_tensors(tmp_path / "b.safetensors")) == set(STATE)


# ---- other things
def archive_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl").replace("_npy", ".npy"), content)
    return buffer.getvalue()


def tar_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("storages")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


OTHERS = {
    "a web page": b"<!DOCTYPE html>\n<html><body>404: Not Found</body></html>",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "an ONNX model": b'\x08\x07\x12\x07pytorch\x1a\x052.0.1"\x00:' + bytes(100),
    "a msgpack file": b"\x81\xa6params\x81\xa5dense" + bytes(100),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "compressed with gzip": gzip.compress(b"hello"),
    "a tar archive": tar_of(bytes(100)),
    "an archive of other files": archive_of(readme=b"hello"),
    "an archive of NumPy arrays": archive_of(conv_npy=b"x"),
    "a TorchScript program": archive_of(a__data_pkl=b"x", a__constants_pkl=b"x"),
    "a text (JSON)": b'{"message": "rate limited"}',
    "a NumPy array": b"\x93NUMPY\x01\x00" + bytes(100),
    "it is empty": b"",
    "begins neither": bytes(1000),
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("suffix", [".pth", ".onnx", ""])
def test_files_of_other_things_are_named(tmp_path, what, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(OTHERS[what])
    assert what in refused(path)


def test_archives_that_unpack_to_far_more_are_not_opened(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
        archive.writestr("archive/version", "3\n")
    assert path.stat().st_size < 1_000_000
    assert "unpacks to 50,000,002 bytes" in refused(path)


def test_tensors_that_claim_more_than_the_file_has_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    assert "claim 4,000,000,000,000 bytes" in refused(tmp_path / "a.pth")


def test_sparse_and_quantised_tensors_are_left_out(tmp_path):
    torch.save({**STATE, "sparse": torch.eye(3).to_sparse()}, tmp_path / "a.pth")
    assert set(read_tensors(tmp_path / "a.pth")) == set(STATE)


@pytest.mark.parametrize("where", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("legacy", [False, True])
def test_cut_and_changed_files(tmp_path, where, legacy):
    torch.save(STATE, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: int(where * len(content))])
    refused(tmp_path / "a.pth")


def test_a_changed_number_is_noticed_where_the_file_has_a_sum_of_it(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.full((100,), 3.0)}, path)
    content = path.read_bytes()
    place = content.index(struct.pack("<3f", 3, 3, 3))
    path.write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    assert "damaged or incomplete" in refused(path)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert set(read_tensors(path)) == set(STATE)


def test_the_command_line_ends_with_2_and_one_sentence(tmp_path, capsys):
    path = tmp_path / "resnet18.pth"
    path.write_bytes(OTHERS["a web page"])
    for backbone in ([], ["--backbone", "resnet18"]):
        out = str(tmp_path / "run")
        code = main(
            [
                "pretrain",
                "monodepth",
                "--data",
                "synthetic:corridor",
                "--init",
                str(path),
                "--out",
                out,
                *backbone,
            ]
        )
        assert code == 2
        assert "is a web page" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
