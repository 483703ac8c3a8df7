"""`pvdm import-original`: released files of the original implementation -> checkpoints of this project."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.cli.console.next_steps import after_import
from pvdm_lightning.cli.console.output import say
from pvdm_lightning.convert import load_autoencoder, load_denoiser
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule

logger = logging.getLogger(__name__)


def import_original(
    autoencoder: str,
    denoiser: str | None = None,
    out: str = "imported",
    frames: int = 16,
    resolution: int | None = None,
    num_heads: int = 8,
    overwrite: bool = False,
) -> None:
    """Turn released weights into checkpoints for validate, test, predict and further training.

    Args:
        autoencoder: The original's autoencoder, e.g. model_last.pth.
        denoiser: The original's diffusion model, e.g. ema_model_850000.pth. Default: only stage one is written.
        out: Folder for autoencoder.ckpt and latent_diffusion.ckpt.
        frames: Frames of a clip.
        resolution: Side of a frame in pixels. Default: as the weights say.
        num_heads: Attention heads of the diffusion model.
        overwrite: Whether to replace checkpoints that are in `out` already.
    """
    folder = Path(out)
    targets = [folder / "autoencoder.ckpt", *([folder / "latent_diffusion.ckpt"] if denoiser else [])]
    for target in targets:
        if target.exists() and not overwrite:
            raise InvalidArgumentError(
                "--out", out, f"already holds {target.name}", "Name another folder or --overwrite true."
            )
    network = _load(autoencoder, "--autoencoder", lambda weights: load_autoencoder(weights, frames, resolution))
    unet = None
    if denoiser is not None:
        shape = network.latent_shape
        unet = _load(denoiser, "--denoiser", lambda weights: load_denoiser(weights, shape, num_heads))
    # Only after both files were loaded: one checkpoint alone would block the next run.
    _save(AutoencoderModule(network), targets[0])
    if unet is not None:
        module = LatentDiffusionModule(unet)
        module.attach_first_stage(FrozenAutoencoder(network))
        _save(module, targets[1])
    say(after_import(targets))


def _load(path: str, flag: str, build: Callable[[Mapping[str, Tensor]], Any]) -> Any:
    if not Path(path).is_file():
        raise InvalidArgumentError(flag, path, "there is no such file", "Give the path of the released file.")
    try:
        weights = load_tensors(path)
    except Exception as error:
        raise InvalidArgumentError(
            flag, path, f"cannot be read safely ({str(error).splitlines()[0][:120]})", "Give a released state dict."
        ) from None
    try:
        return build(weights)
    except (ValueError, AttributeError) as error:
        raise InvalidArgumentError(
            flag, path, f"{error}", "Give the released file of this network, and --frames and --resolution to match."
        ) from None


def _save(module: LightningModule, path: Path) -> None:
    """Write the checkpoint of a run before its first step, optimizers included, so that training can continue."""
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.strategy.connect(module)
    module.trainer = trainer
    trainer.strategy.setup_optimizers(trainer)
    # The state of a fit, not the bare weights: `_save` is what ModelCheckpoint calls, too.
    trainer.state.fn = "fit"  # type: ignore[assignment]
    with atomic_write(path) as partial:
        trainer.save_checkpoint(partial)
    logger.info("wrote %s", path)
