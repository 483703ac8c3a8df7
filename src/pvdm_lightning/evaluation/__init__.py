"""Evaluation by a stated protocol: reconstructions, generated videos, folders of videos."""

from pvdm_lightning.evaluation.clip_options import FramePreparation, GeneratedClips, RealClips
from pvdm_lightning.evaluation.feature_networks import FeatureNetworks
from pvdm_lightning.evaluation.folders import measure_folders
from pvdm_lightning.evaluation.generation_evaluation import GenerationEvaluation
from pvdm_lightning.evaluation.kept_features import measure_features
from pvdm_lightning.evaluation.options import Evaluation
from pvdm_lightning.evaluation.paired import PairedProtocol, measure_pairs
from pvdm_lightning.evaluation.reconstruction_evaluation import ReconstructionEvaluation
from pvdm_lightning.evaluation.trained_model import TrainedModel

__all__ = [
    "Evaluation",
    "FeatureNetworks",
    "FramePreparation",
    "GeneratedClips",
    "GenerationEvaluation",
    "PairedProtocol",
    "RealClips",
    "ReconstructionEvaluation",
    "TrainedModel",
    "measure_features",
    "measure_folders",
    "measure_pairs",
]
