"""Videos, pictures and texts for any logger: in the dashboard where it has one, else as files beside its log."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.output.writing import gif_bytes

logger = logging.getLogger(__name__)
_UNABLE: set[str] = set()


def log_video(loggers: list[Any], tag: str, video: Tensor, step: int, fps: float, caption: str = "") -> None:
    """Add a video to each logger, as a ready-made GIF; one frame is added as a PNG.

    TensorBoard's own add_video needs moviepy, and with its second version writes nothing.

    Args:
        loggers: Loggers of the trainer.
        tag: Such as val/samples.
        video: uint8 [3 T H W].
        step: Training step.
        fps: Frames per second.
        caption: Shown with it where the logger has captions.
    """
    still = video.shape[1] == 1
    data = _png(video) if still else gif_bytes(video, fps)
    suffix = "png" if still else "gif"
    for one in loggers:
        if isinstance(one, TensorBoardLogger):
            image = Summary.Image(height=video.shape[2], width=video.shape[3], colorspace=3, encoded_image_string=data)
            one.experiment._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
        elif (add := _writer(one)) is not None:
            add(tag, data, suffix, step, caption)


def log_text(loggers: list[Any], tag: str, text: str, step: int = 0) -> None:
    """Add a text to each logger; TensorBoard shows it as Markdown."""
    for one in loggers:
        if isinstance(one, TensorBoardLogger):
            one.experiment.add_text(tag, text, step)
        elif (add := _writer(one)) is not None:
            add(tag, text.encode(), "md", step, "")


Add = Callable[[str, bytes, str, int, str], None]


def _writer(one: Logger) -> Add | None:
    """How files get into a logger; None, said once, for one that takes none."""
    kinds = ((WandbLogger, _to_wandb), (MLFlowLogger, _to_mlflow), (CSVLogger, _to_folder))
    for kind, add in kinds:
        if isinstance(one, kind):
            return lambda *arguments: add(one, *arguments)
    name = type(one).__name__
    if name not in _UNABLE and not name.startswith("Dummy"):
        _UNABLE.add(name)
        logger.warning("%s takes no videos and pictures: add TensorBoardLogger or CSVLogger beside it", name)
    return None


def _to_folder(one: Any, tag: str, data: bytes, suffix: str, step: int, caption: str) -> None:
    _file(Path(one.log_dir), tag, data, suffix, step)


def _to_wandb(one: Any, tag: str, data: bytes, suffix: str, step: int, caption: str) -> None:
    if suffix == "md":
        one.log_text(tag, columns=["text"], data=[[data.decode()]], step=step)
        return
    path = str(_file(Path(one.save_dir), tag, data, suffix, step))
    add, key = (one.log_image, "images") if suffix == "png" else (one.log_video, "videos")
    # With the step, Lightning sends trainer/global_step in the same row; W&B's own step counts calls.
    extra = {"caption": [caption or tag]} | ({"format": [suffix]} if suffix == "gif" else {})
    add(key=tag, **{key: [path]}, step=step, **extra)


def _to_mlflow(one: Any, tag: str, data: bytes, suffix: str, step: int, caption: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # MLflow copies it to its own store
        path = _file(Path(folder), tag, data, suffix, step)
        one.experiment.log_artifact(one.run_id, str(path), f"media/{tag}")


def _file(folder: Path, tag: str, data: bytes, suffix: str, step: int) -> Path:
    path = folder / "media" / tag / f"{step:08d}.{suffix}"
    with atomic_write(path) as partial:
        partial.write_bytes(data)
    return path


def _png(video: Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(video[:, 0].permute(1, 2, 0).cpu().numpy())).save(stream, "PNG")
    return stream.getvalue()
