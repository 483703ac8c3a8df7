import io
import pickle
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.data.videos import npz, stored_arrays
from pvdm_lightning.data.videos.stored_arrays import arrays_in, read_labels
from pvdm_lightning.errors import InvalidArgumentError

VIDEOS = np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, 3, 8, 8)


def write(path, **arrays):
    if path.suffix == ".npy":
        np.save(path, arrays["videos"])
    elif path.suffix == ".npz":
        (np.savez_compressed if "compressed" in path.name else np.savez)(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                chunks = {"chunks": (1, *array.shape[1:]), "compression": "gzip"} if "compressed" in path.name else {}
                file.create_dataset(f"data/{name}" if name != "labels" else name, data=array, **chunks)
    return path


NAMES = ["a.npy", "a.npz", "compressed.npz", "a.h5", "compressed.hdf5"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("videos", [VIDEOS, np.asfortranarray(VIDEOS), VIDEOS.astype(">f4")], ids=["c", "f", "float"])
def test_arrays_are_found_and_opened(tmp_path, name, videos):
    (array,) = arrays_in(write(tmp_path / name, videos=videos))
    assert (array.shape, array.dtype) == (videos.shape, videos.dtype)
    with array.open() as opened:
        assert np.array_equal(opened[1, 2], videos[1, 2])
        if name in NAMES[:2]:
            assert isinstance(opened, np.memmap)


@pytest.mark.parametrize("name", NAMES)
def test_an_array_that_changed_is_not_read(tmp_path, name):
    (array,) = arrays_in(write(tmp_path / name, videos=VIDEOS))
    (tmp_path / name).unlink()
    write(tmp_path / name, videos=VIDEOS[:, :2])
    with pytest.raises(DecodeError, match=r"is uint8 \[2, 2, 8, 8\] now"), array.open():
        pass
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError), array.open() as opened:
        opened[:]


class Runs:
    def __reduce__(self):
        return exec, ("raise SystemExit('the file ran code')",)


def npy_claiming(shape, data=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", videos=np.array([Runs()], dtype=object), good=VIDEOS)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Runs()))
    for name in ("a.npy", "plain.npy"):
        with pytest.raises(ValueError):
            arrays_in(tmp_path / name)
    assert [array.key for array in arrays_in(tmp_path / "a.npz")] == ["good"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_claims_of_npz_members_are_checked_before_memory_is_taken(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("videos.npy", npy_claiming((2**20, 2**10, 64, 64), bytes(100)))
    (array,) = arrays_in(tmp_path / "a.npz")
    with pytest.raises(DecodeError), array.open():
        pass


def test_large_compressed_arrays_are_refused(tmp_path, monkeypatch):
    (array,) = arrays_in(write(tmp_path / "compressed.npz", videos=VIDEOS))
    monkeypatch.setattr(npz, "MOST_UNPACKED", 100)
    with (
        pytest.raises(DecodeError, match=r"videos is compressed and has 512 bytes, .*: write it with np\.savez"),
        array.open(),
    ):
        pass


def test_hdf5_files_lead_into_no_other_file(tmp_path):
    write(tmp_path / "other.h5", videos=VIDEOS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "data/videos")
        layout = h5py.VirtualLayout(VIDEOS.shape, np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data/videos", VIDEOS.shape)
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", VIDEOS.shape, np.uint8, external=[(str(tmp_path / "other.h5"), 0, 384)])
    found = arrays_in(tmp_path / "a.h5")
    assert {array.key for array in found} == {"virtual", "outside"}
    for array in found:
        with pytest.raises(DecodeError, match="lies in other files"), array.open():
            pass


def test_hdf5_chunks_have_a_limit(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (8, 2**14, 2**14), np.uint8, chunks=(2, 2**14, 2**14), compression="gzip")
    (array,) = arrays_in(tmp_path / "a.h5")
    with pytest.raises(DecodeError, match=r"is in chunks \[2, 16384, 16384\], larger than"), array.open():
        pass


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"no such file", b"PK\x03\x04" + bytes(60), b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        arrays_in(tmp_path / name)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.h5", videos=VIDEOS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        InvalidArgumentError, match=r"a\.h5: needs the package h5py, .*pip install 'pvdm-lightning\[hdf5\]'"
    ):
        arrays_in(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        (np.array([3, -1]), ["3", ""]),
        (np.array(["run", "jump"]), ["run", "jump"]),
        (np.array([b"run", b"jump"]), ["run", "jump"]),
        (np.uint8(7), ["7"]),
    ],
    ids=["numbers", "text", "bytes", "one"],
)
def test_labels(tmp_path, labels, read):
    for name in ("a.npz", "a.h5"):
        given = labels.astype(h5py.string_dtype()) if name == "a.h5" and labels.dtype.kind == "U" else labels
        write(tmp_path / name, labels=given)
        assert read_labels(*arrays_in(tmp_path / name)) == read


@pytest.mark.parametrize("labels", [np.zeros((2, 10)), np.zeros(2)])
def test_labels_that_are_none(tmp_path, labels):
    with pytest.raises(ValueError, match="not a whole number or text for each video"):
        read_labels(*arrays_in(write(tmp_path / "a.npz", labels=labels)))


def test_labels_of_any_length_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_arrays, "_MOST_LABELS", 1000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("labels", data=np.array(["x" * 300] * 4, dtype=h5py.string_dtype()))
    with pytest.raises(DecodeError, match="is no text, or more than 1,000 letters"):
        read_labels(*arrays_in(tmp_path / "a.h5"))


def test_a_header_is_short_whatever_it_claims(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("videos.npy", b"\x93NUMPY\x02\x00" + (2**26).to_bytes(4, "little") + b" " * 2**26)
    tracemalloc.start()
    assert arrays_in(tmp_path / "a.npz") == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22
