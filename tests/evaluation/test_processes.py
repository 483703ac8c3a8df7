import os

import pytest

import warm
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.processes import LostProcessError, Processes, run_in_processes


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_everything_once(world_size):
    shares = [Processes(rank, world_size).share(list(range(8))) for rank in range(world_size)]
    assert sorted(number for share in shares for number in share) == list(range(8))


def meet(processes, folder, trouble=""):
    """Work of one of several processes, which ends in trouble in the last of them."""
    said = processes.broadcast(f"from {processes.rank}")
    (folder / str(processes.rank)).write_text(f"{os.getpid()} {said}")
    if trouble and processes.rank == processes.world_size - 1:
        if trouble == "mistake":
            raise InvalidArgumentError("--real", "a", "is a mistake", "Correct it.")
        if trouble == "fault":
            raise KeyError("b")
        os._exit(3)
    processes.barrier()
    assert processes.gather(processes.rank) == [*range(processes.world_size)] * processes.is_first
    return sorted(path.read_text().split()[1:] for path in folder.iterdir())


def test_processes_meet_and_fail_together(tmp_path, monkeypatch):
    monkeypatch.setattr("pvdm_lightning.evaluation.processes.get_context", lambda _: warm.context())
    for trouble, error, text in (
        ("", None, ""),
        ("mistake", InvalidArgumentError, r"^--real a: is a mistake\. Correct it\."),
        ("fault", LostProcessError, r"process 1 of the evaluation: KeyError: 'b'"),
        ("lost", LostProcessError, "has ended without a word"),
    ):
        folder = tmp_path / f"with {trouble}"
        folder.mkdir()
        if error is None:
            assert run_in_processes(2, meet, folder) == [["from", "0"]] * 2
        else:
            with pytest.raises(error, match=text):
                run_in_processes(2, meet, folder, trouble)
        pid = int((folder / "1").read_text().split()[0])
        assert not os.path.exists(f"/proc/{pid}") and pid != os.getpid()  # noqa: PTH110
    assert run_in_processes(1, meet, tmp_path / "with ") == [["from", "0"]] * 2
