from types import SimpleNamespace

import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import Evaluation
from pvdm_lightning.evaluation.chosen_networks import choose_networks
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.metrics import FRAME_DIFFERENCES

FOUND = FoundNetworks(
    [SimpleNamespace(name=name) for name in ("i3d-stylegan-v (unrecognised file abc)", "transnetv2")],
    [SimpleNamespace(name="c3d-ucf101")],
    None,
    skipped=[SkippedMetric("FVD (i3d-original)", "missing"), SkippedMetric("LPIPS (lpips-vgg16)", "missing")],
)


def test_networks_by_their_published_names():
    assert choose_networks(FOUND, None, ["frechet"]) is FOUND
    chosen = choose_networks(FOUND, ["i3d-stylegan-v"], ["frechet"])
    assert [network.name for network in chosen.video] == ["i3d-stylegan-v (unrecognised file abc)"]
    assert chosen.c3d == [] and [one.name for one in chosen.skipped] == ["LPIPS (lpips-vgg16)"]
    chosen = choose_networks(FOUND, ["i3d-original", "c3d-ucf101"], ["frechet"])
    assert chosen.video == [] and len(chosen.c3d) == 1
    assert [one.name for one in chosen.skipped] == ["FVD (i3d-original)", "LPIPS (lpips-vgg16)"]


def test_a_network_that_an_option_must_name_is_listed_as_missing():
    (one,) = (one for one in choose_networks(FOUND, ["v-jepa-ssv2"], ["frechet"]).skipped if "LPIPS" not in one.name)
    assert one == ("v-jepa-ssv2", "it is looked for if FeatureNetworks.vjepa names its file.")


def test_motion_goes_with_distances_or_stands_alone():
    chosen = choose_networks(FOUND, ["transnetv2"], ["motion", "kvd"])
    assert [network.name for network in chosen.video] == ["transnetv2", "frame-differences"]
    alone = choose_networks(FOUND, None, ["motion"])
    assert alone.video == [FRAME_DIFFERENCES] and [one.name for one in alone.skipped] == ["LPIPS (lpips-vgg16)"]
    none = choose_networks(FoundNetworks(), None, ["frechet", "motion"])
    assert not none.video and none.skipped[0].name == "motion" and "none can be measured" in none.skipped[0].reason


def test_an_unknown_network():
    with pytest.raises(InvalidArgumentError, match="i3d-stylegan: is no network of a metric. Did you mean i3d-style"):
        Evaluation(networks=["i3d-stylegan"])
