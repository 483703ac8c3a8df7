"""Worker processes that are killed, signalled, or fail."""

import errno
import gc
import os
import signal
import subprocess
import time
from multiprocessing.process import BaseProcess

import pytest
import torch
from torch.utils.data import Dataset, _utils, get_worker_info

from pvdm_lightning.data.clips.workers import _explain, batches_of, to_parent, worker_loader
from pvdm_lightning.errors import InvalidArgumentError


class Faulty(Dataset):
    """Numbers; one of them does something first."""

    def __init__(self, act=lambda: None):
        self.act = act

    def __len__(self):
        return 8

    def __getitem__(self, number):
        if number == 4:
            try:
                self.act()
            except Exception as error:
                return to_parent(error)
        return torch.tensor(number)


def first_of(items):
    """As `collate_unbroken`: an error takes the place of its batch."""
    return next((item for item in items if isinstance(item, Exception)), items)


def read(act, workers=2, **options):
    return list(batches_of(worker_loader(Faulty(act), num_workers=workers, collate_fn=first_of, **options)))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGBUS"])
def test_a_lost_worker_is_named(name, capfd):
    with pytest.raises(InvalidArgumentError) as raised:
        read(lambda: os.kill(os.getpid(), getattr(signal, name)), 1, timeout=1)
    assert raised.value.argument == "DataModule.num_workers"
    assert f"a worker process that reads data was killed ({name})" in str(raised.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_that_exits_is_named():
    with pytest.raises(InvalidArgumentError, match=r"killed \(exit status 3\)"):
        read(lambda: os._exit(3), 1, timeout=1)


def fail(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_arrive_whole(workers):
    with pytest.raises(InvalidArgumentError) as raised:
        read(fail(InvalidArgumentError("DataModule.root", "x", "is cut", "Mend it.")), workers)
    assert (raised.value.argument, raised.value.remedy) == ("DataModule.root", "Mend it.")
    with pytest.raises(OSError, match="Input/output") as of_system:
        read(fail(OSError(errno.EIO, os.strerror(errno.EIO), "video.mp4")), workers)
    assert (of_system.value.errno, of_system.value.filename) == (errno.EIO, "video.mp4")
    with pytest.raises(ZeroDivisionError):  # a fault of ours keeps its trace
        read(lambda: 1 // 0, workers)


class Living:
    """A worker that has not ended."""

    exitcode = None

    def join(self, timeout):
        pass


@pytest.mark.parametrize("text", ["Too many open files. Communication with the workers", "0 items of ancillary data"])
def test_too_few_descriptors(text):
    with pytest.raises(OSError, match="Too many open files") as raised:
        _explain(RuntimeError(text), [Living()], "DataModule.num_workers")
    assert raised.value.errno == errno.EMFILE


def test_no_shared_memory():
    with pytest.raises(InvalidArgumentError, match="--shm-size"):
        full = RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")
        _explain(full, [Living()], "DataModule.num_workers")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_to_the_group_leaves_workers_to_their_parent(name):
    loader = worker_loader(Faulty(), num_workers=1, persistent_workers=True)
    batches = batches_of(loader)
    next(batches)
    (worker,) = batches.gi_frame.f_locals["workers"]
    subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)  # not sent by its parent
    assert len(list(batches)) == 7 and worker.is_alive()
    for _ in range(50):  # one that a thread of a library takes is lost
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(0.1)
        if worker.exitcode is not None:
            break
    assert worker.exitcode == 0


def test_a_worker_does_not_take_its_parents_signals(tmp_path):
    """A worker inherits the parent's handlers and its channel for signals."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    before = signal.set_wakeup_fd(writer)
    try:
        batches = batches_of(worker_loader(Faulty(), num_workers=1))
        next(batches)
        (worker,) = batches.gi_frame.f_locals["workers"]
        subprocess.run(["kill", "-INT", str(worker.pid)], check=True)
        list(batches)
        time.sleep(0.1)
        sent = b""
        while True:
            try:
                sent += os.read(reader, 100)
            except BlockingIOError:
                break
        assert signal.SIGINT not in sent
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_of_a_loader_among_garbage_end_by_themselves(persistent, monkeypatch):
    """PyTorch waits for them, and kills those that did not hear of their end."""
    killed = []
    monkeypatch.setattr(BaseProcess, "terminate", lambda process: killed.append(process) or process.kill())
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 30)  # the machine may be busy
    batches = batches_of(worker_loader(Faulty(), num_workers=1, persistent_workers=persistent))
    next(batches)
    (worker,) = batches.gi_frame.f_locals["workers"]
    kept = [batches]
    kept.append(kept)  # as an error keeps the frames that it passed
    del batches, kept
    gc.collect()
    assert worker.exitcode == 0 and not killed


def test_workers_know_that_they_are():
    assert get_worker_info() is None
    with pytest.raises(OSError, match="here"):
        to_parent(OSError(errno.EIO, "here"))
