"""`pvdm test`: measure a model by a stated protocol."""

from __future__ import annotations

from lightning import Callback

from pvdm_lightning.cli.console.errors import said_in_options
from pvdm_lightning.cli.parts import Parts
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import Evaluation, FeatureNetworks, GenerationEvaluation, ReconstructionEvaluation
from pvdm_lightning.training import LatentDiffusionModule


def test(parts: Parts) -> None:
    """Measure reconstructions (stage one) or generated videos (stage two) against real ones."""
    if not hasattr(parts.data, "reference_dataloader"):
        held = type(parts.data).__name__ if parts.data else None
        raise InvalidArgumentError(
            "--data", held, "evaluation needs real videos", "Give --data of the videos, as to fit."
        )
    assert parts.request.checkpoint is not None
    options: Evaluation = parts.sections["evaluation"]
    networks: FeatureNetworks = parts.sections["metrics"]
    model = parts.request.checkpoint.provenance()
    callback: Callback
    if isinstance(parts.model, LatentDiffusionModule):
        found = said_in_options(networks.find("FVD", inception_score=options.inception_splits > 0))
        callback = GenerationEvaluation(options, parts.sections["sampling"], found, model)
    else:
        callback = ReconstructionEvaluation(options, said_in_options(networks.find("R-FVD", lpips=True)), model)
    parts.trainer.callback_list.append(callback)
    parts.trainer.test(parts.model, datamodule=parts.data, verbose=False)
