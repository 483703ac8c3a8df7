"""`pvdm encode`: write the latents of a data set."""

import logging
from pathlib import Path
from typing import Any

from lightning import Trainer

from pvdm_lightning.callbacks import LatentCacheWriter
from pvdm_lightning.cli.console.next_steps import after_encoding
from pvdm_lightning.cli.console.output import say
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.data import ClipDataModule
from pvdm_lightning.data.datamodules.windows_to_encode import WindowsToEncode
from pvdm_lightning.data.latents.latent_cache import CacheOptions, shard_path
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.training import LatentEncoder

logger = logging.getLogger(__name__)


def encode(cli: PvdmCLI) -> None:
    """Write the latents of the data set to a cache."""
    if not isinstance(cli.datamodule, ClipDataModule):
        value = None if cli.datamodule is None else type(cli.datamodule).__name__
        raise InvalidArgumentError("--data", value, "encoding needs videos", "Give their data set, as to fit.")
    assert cli.request.checkpoint is not None
    options: CacheOptions = cli.config_init["output"]
    write_latents(cli.trainer, cli.model, cli.datamodule, cli.plain_config["data"], options)
    if cli.trainer.is_global_zero:
        say(after_encoding(options.dir, cli.model.frozen.autoencoder, cli.request.checkpoint.first_stage))


def write_latents(
    trainer: Trainer, encoder: LatentEncoder, data: ClipDataModule, data_config: dict[str, Any], options: CacheOptions
) -> None:
    """Write the latents of a data set's windows to a cache, or complete an interrupted one.

    Args:
        trainer: Whose processes share the work.
        encoder: With the weights of the autoencoder.
        data: The videos.
        data_config: The data section of the configuration, for the cache's description.
        options: What the cache is to hold.

    Raises:
        InvalidArgumentError: The trainer is told to stop early, a clip has no such known frames, clips are of another
            size than the autoencoder takes, the folder holds another cache, the disk or the memory has no room, or too
            many videos are broken.
    """
    _check_limits(trainer)
    encoder.encode_with(options.flips, options.known_frames, trainer)
    windows = WindowsToEncode(data, options, {**encoder.describe(), "data": data_config})
    root = Path(options.dir)
    trainer.callbacks.append(LatentCacheWriter(root, options.dtype))  # type: ignore[attr-defined]
    try:
        trainer.predict(encoder, datamodule=windows, return_predictions=False)
        trainer.strategy.barrier("all shards are written")
    finally:
        windows.release()
    if trainer.is_global_zero:
        splits = windows.description["splits"]
        paths = [shard_path(root, split, n) for split, about in splits.items() for n in range(about["shards"])]
        counts = ", ".join(f"{about['windows']} {split} windows" for split, about in splits.items())
        gigabytes = sum(path.stat().st_size for path in paths) / 1e9
        known = f", with the known frames {', '.join(encoder.known_frames)}" if encoder.known_frames else ""
        logger.info("%s: latents of %s in %d shards%s, %.3f GB", root, counts, len(paths), known, gigabytes)


def _check_limits(trainer: Trainer) -> None:
    limit = trainer.limit_predict_batches
    unlimited = isinstance(limit, float) and limit == 1.0  # an int is a number of batches
    for flag, value, limits in (
        ("--trainer.fast_dev_run", trainer.fast_dev_run, bool(trainer.fast_dev_run)),  # type: ignore[attr-defined]
        ("--trainer.limit_predict_batches", limit, not unlimited),
    ):
        if limits:
            raise InvalidArgumentError(flag, value, "would leave the cache unfinished", "Leave it out.")
