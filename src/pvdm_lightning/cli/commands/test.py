"""`pvdm test`: measure a model by a stated protocol."""

from __future__ import annotations

from lightning import Callback

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import Evaluation, FeatureNetworks, GenerationEvaluation, ReconstructionEvaluation
from pvdm_lightning.evaluation.figures import NEEDS_NETWORK
from pvdm_lightning.training import LatentDiffusionModule


def test(cli: PvdmCLI) -> None:
    """Measure reconstructions (stage one) or generated videos (stage two) against real ones.

    Raises:
        InvalidArgumentError: The data are no videos; or no distance of samples could be measured. Of reconstructions
            PSNR and SSIM always are.
    """
    if not hasattr(cli.datamodule, "reference_dataloader"):
        held = type(cli.datamodule).__name__ if cli.datamodule else None
        raise InvalidArgumentError(
            "--data", held, "evaluation needs real videos", "Give --data of the videos, as to fit."
        )
    assert cli.request.checkpoint is not None
    options: Evaluation = cli.config_init["evaluation"]
    networks: FeatureNetworks = cli.config_init["metrics"]
    model = cli.request.checkpoint.provenance()
    callback: Callback
    if isinstance(cli.model, LatentDiffusionModule):
        found = with_option_names(networks.find("FVD", inception_score=options.inception_splits > 0))
        callback = GenerationEvaluation(options, cli.config_init["sampling"], found, model)
    else:
        callback = ReconstructionEvaluation(options, with_option_names(networks.find("R-FVD", lpips=True)), model)
    cli.trainer.callback_list.append(callback)
    cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    if isinstance(callback, GenerationEvaluation) and not callback.is_answered:
        problem, remedy = "no distance of its samples was measured, for the reasons above", NEEDS_NETWORK
        remedy += " `pvdm validate` gives the loss alone."
        raise InvalidArgumentError("--ckpt_path", model.path, problem, remedy)
