"""What is recorded of generated videos: options that change them tell them apart."""

from pvdm_lightning.evaluation.generation_evaluation import conditions_record
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import Sampling

SIZES = {"base_channels": 8, "channel_multipliers": (1,), "blocks_per_level": 1, "heads": 1, "norm_groups": 2}


def test_classes_and_overlap_are_recorded_where_a_model_takes_them():
    plain = TriplaneUNet(**SIZES)
    full = TriplaneUNet(**SIZES, num_classes=2, class_names=["disc", "ring"], known_frames=True)
    assert conditions_record(Sampling(), plain, 16) == {}
    assert conditions_record(Sampling(), full, 16) == {"class_names": ["disc", "ring"], "overlap": 4}
    chosen = Sampling(class_names=["ring"], overlap=0)
    assert conditions_record(chosen, full, 16) == {"class_names": ["ring"], "overlap": 0}
