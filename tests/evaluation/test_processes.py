import pytest

from pvdm_lightning.evaluation.processes import Processes


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_everything_once(world_size):
    shares = [Processes(rank, world_size).share(list(range(8))) for rank in range(world_size)]
    assert sorted(number for share in shares for number in share) == list(range(8))
