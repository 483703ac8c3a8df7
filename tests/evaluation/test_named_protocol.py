"""Protocols by name: settings against a table with sources, clips against a list computed here, and what is said."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pvdm_lightning.data.clips.clip_dataset import DRAW
from pvdm_lightning.data.clips.sampler import ORDER
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import Evaluation, FramePreparation, GeneratedClips, RealClips
from pvdm_lightning.evaluation.measured_clips import MeasuredClips
from pvdm_lightning.evaluation.named_protocol import NamedProtocol, protocol_names, settings_of

# Settings of which no source says anything else: one run, one random clip, no reuse, the first frames of a sample.
USUAL = {
    **{"frame_step": 1, "inception_splits": 0, "inception_loops": 1, "repeats": 1},
    **{"real.stride": 1, "real.clips_per_video": 1, "real.reuse": False, "real.min_frames": None},
    **{"generated.choice": "first", "generated.stride": 1, "generated.codec": "none"},
    **{"preparation.crop": "centre", "preparation.codec": "none"},
}
# (value, where the protocol's code says so)
TABLE = {
    "pvdm": {
        "split": ("train", "StyleGAN-V issue 30, paper's appendix B.2"),
        "frames": ([16, 128], "paper"),
        "distances": (["frechet"], "evals/fvd/fvd.py:48-51,87-104: unbiased"),
        "networks": (["i3d-original"], "evals/fvd/fvd.py:15-45: VideoGPT I3D, crop"),
        "real.choice": ("random", "tools/dataloader.py:98-145"),
        "real.num": (None, "StyleGAN-V issue 30: 2048, or the size of the set"),
        "generated.num": (2048, "StyleGAN-V issue 30"),
        "preparation.filter": ("bilinear", "tools/data_utils.py:73-84"),
        "preparation.antialias": (False, "tools/data_utils.py:73-84"),
        "preparation.rounding": ("truncate", "evals/eval.py:97-98,164-169"),
        "resolution": (256, "configs/autoencoder/base.yaml:14"),
    },
    "stylegan_v": {
        "split": ("all", "issue 30"),
        "frames": ([16, 128], "metric_main.py:115-131"),
        "frame_step": (8, "metric_main.py:127-131"),
        "distances": (["frechet_biased"], "metric_utils.py:122-127"),
        "networks": (
            ["i3d-stylegan-v", "c3d-ucf101"],
            "frechet_video_distance.py:22-23, video_inception_score.py:16-19",
        ),
        "inception_splits": (10, "video_inception_score.py:23-52"),
        "real.choice": ("sorted_prefix", "metric_utils.py:230; dataset.py:53,303-326"),
        "real.num": (None, "metric_main.py:115-131: min(2048, usable videos)"),
        "generated.num": (2048, "metric_main.py:115-131"),
        "preparation.filter": ("lanczos", "convert_videos_to_frames.py:72-76"),
        "preparation.antialias": (True, "convert_videos_to_frames.py:72-76: Pillow"),
        "preparation.rounding": ("round", "metric_utils.py:285"),
        "preparation.codec": ("jpeg75", "convert_videos_to_frames.py:72-76"),
        "resolution": (256, "convert_videos_to_frames.py:72-76"),
    },
    "digan": {
        "split": ("all", "src/training/dataset.py:379-391; issue 16"),
        "frames": ([16], "src/scripts/compute_fvd_kvd.py"),
        "distances": (["frechet", "kvd"], "src/scripts/compute_fvd_kvd.py:19-35"),
        "networks": (["i3d-original"], "VideoGPT I3D, crop"),
        "repeats": (10, "compute_fvd_kvd.py:41-42,81-97"),
        "repeat_over": ("both", "compute_fvd_kvd.py:81-97: new noise, reshuffled reals"),
        "real.choice": ("every_window", "src/training/dataset.py:444-468"),
        "real.num": (2048, "compute_fvd_kvd.py:41-42"),
        "generated.num": (2048, "compute_fvd_kvd.py:41-42"),
        "preparation.filter": ("bilinear", "dataset.py:153-177"),
        "preparation.antialias": (False, "dataset.py:153-177"),
        "preparation.rounding": ("truncate", "compute_fvd_kvd.py:108"),
        "resolution": (128, "compute_fvd_kvd.py:69-71"),
    },
    "tats": {
        "split": ("train", "tats/data.py:47,59"),
        "frames": ([16], "tats/fvd/fvd.py:119-127"),
        "distances": (["frechet", "kvd"], "tats/fvd/fvd.py:44-100,103-115"),
        "networks": (["i3d-original-stretched"], "tats/fvd/fvd.py:17-40"),
        "real.choice": ("every_window", "tats/data.py:285-292"),
        "real.num": (None, "sample_vqgan_transformer_short_videos.py:26,108-125: fewer if the folder is small"),
        "generated.num": (2048, "sample_vqgan_transformer_short_videos.py:26"),
        "preparation.filter": ("bilinear", "tats/data.py:95-135"),
        "preparation.antialias": (False, "tats/data.py:95-135"),
        "preparation.rounding": ("truncate", "sample_vqgan_transformer_short_videos.py:113"),
        "resolution": (128, "tats/data.py"),
    },
    "lvdm": {
        "split": ("train", "configs/lvdm_short/sky.yaml"),
        "frames": ([16], "configs/lvdm_short/sky.yaml"),
        "distances": (["frechet", "kvd"], "scripts/eval_cal_fvd_kvd.py:47-88"),
        "networks": (["i3d-original-stretched"], "scripts/eval_cal_fvd_kvd.py:47-88, as TATS"),
        "repeats": (10, "shellscripts/eval_lvdm_short.sh"),
        "repeat_over": ("real", "scripts/eval_cal_fvd_kvd.py:142-149"),
        "real.choice": ("random", "lvdm/data/frame_dataset.py: rand_clips"),
        "real.num": (None, "scripts/eval_cal_fvd_kvd.py: fewer if the set is small"),
        "generated.num": (2048, "shellscripts/eval_lvdm_short.sh"),
        "preparation.filter": ("bilinear", "lvdm/data/frame_dataset.py: transforms.Resize"),
        "preparation.antialias": (False, "lvdm/data/frame_dataset.py: of tensors"),
        "preparation.rounding": ("truncate", "scripts/eval_cal_fvd_kvd.py: int()"),
        "resolution": (256, "configs/lvdm_short/sky.yaml"),
    },
    "latte": {
        "split": ("train", "issue 103: as the model was trained"),
        "frames": ([16], "tools/metrics/frechet_video_distance.py:18"),
        "distances": (["frechet_biased"], "StyleGAN-V's metric_utils.py:122-127"),
        "networks": (["i3d-stylegan-v", "c3d-ucf101"], "tools/metrics/"),
        "inception_splits": (10, "as StyleGAN-V"),
        "real.choice": ("random", "metric_utils.py:233"),
        "real.num": (None, "as StyleGAN-V"),
        "real.stride": (3, "frechet_video_distance.py:18,29,43"),
        "real.min_frames": (48, "StyleGAN-V's dataset.py:323-324: L * s"),
        "generated.num": (2048, "metric_utils.py:233"),
        "generated.codec": ("mp4_jpeg75", "sample/sample_ddp.py:172-176, convert_videos_to_frames.py:73-80"),
        "preparation.filter": ("lanczos", "convert_videos_to_frames.py:73-80"),
        "preparation.antialias": (True, "convert_videos_to_frames.py:73-80: Pillow"),
        "preparation.rounding": ("round", "convert_videos_to_frames.py:73-80"),
        "preparation.codec": ("jpeg75", "convert_videos_to_frames.py:73-80"),
        "resolution": (256, "convert_videos_to_frames.py:73-80"),
    },
    "far": {
        "split": ("all", "options/test/far/video_generation: trainval.json"),
        "frames": ([16], "options/test/far/video_generation"),
        "distances": (["frechet"], "far/metrics/fvd.py:101-116"),
        "networks": (["i3d-stylegan-v"], "far/metrics/fvd.py:127"),
        "repeats": (4, "README:71-80"),
        "repeat_over": ("generation", "README:71-80"),
        "real.choice": ("class_balanced", "far/data/ucf_dataset.py:34-52,80-81"),
        "real.num": (2048, "far/data/ucf_dataset.py:34-52"),
        "real.stride": (3, "far/data/ucf_dataset.py:15-31"),
        "generated.num": (2048, "far/data/ucf_dataset.py:34-52"),
        "generated.codec": ("mp4", "far/utils/vis_util.py:34-44"),
        "preparation.filter": ("bilinear", "far/data/ucf_dataset.py:85-88"),
        "preparation.antialias": (True, "far/data/ucf_dataset.py:85-88"),
        "preparation.rounding": ("round", "far/utils/vis_util.py:34-44"),
        "preparation.codec": ("mp4", "far/utils/vis_util.py:34-44"),
        "resolution": (256, "options/test/far/video_generation/FAR_L_ucf101_cond_res256_400K_bs32.yml"),
    },
    "larp": {
        "split": ("train", "README:96-113"),
        "frames": ([16], "datasets/video_dataset.py:265-272"),
        "distances": (["frechet_biased"], "utils/fvd/fvd.py:24-33,132-141,419-434"),
        "networks": (["i3d-stylegan-v"], "utils/fvd/fvd.py:362-365"),
        "real.choice": ("non_overlapping", "datasets/video_dataset.py:265-272"),
        "real.num": (10000, "README:96-113; sample.py:122-139"),
        "generated.num": (10000, "README:96-113"),
        "preparation.filter": ("bilinear", "datasets/video_dataset.py:42-56"),
        "preparation.antialias": (True, "datasets/video_dataset.py:42-56"),
        "preparation.rounding": ("none", "sample.py:165,188"),
        "resolution": (128, "datasets/video_dataset.py:42-56"),
    },
    "cdfvd": {
        "split": ("all", "README:33-45"),
        "frames": ([16], "cdfvd/fvd.py, load_videos"),
        "distances": (["frechet_biased"], "utils/metric_utils.py:125-136"),
        "networks": (["videomae-v2-ssv2", "i3d-original-stretched"], "cdfvd/fvd.py:58-70"),
        "real.choice": ("random", "utils/data_utils.py:177-192,288"),
        "real.num": ("all", "cdfvd/fvd.py:58-70: full"),
        "generated.choice": ("random", "utils/data_utils.py:177-192,288"),
        "generated.num": (2048, "cdfvd/fvd.py:58-70"),
        "preparation.filter": ("bilinear", "utils/data_utils.py:52-66"),
        "preparation.antialias": (True, "utils/data_utils.py:52-66"),
        "preparation.rounding": ("truncate", "cdfvd/fvd.py, compute_real_stats"),
        "resolution": (256, "cdfvd/fvd.py, load_videos"),
    },
    "jedi": {
        "frames": ([16], "configs/vith16_ssv2_16x2x3.yaml"),
        "distances": (["jedi"], "videojedi/JEDi.py:18; mmd_polynomial.py:6-24"),
        "networks": (["v-jepa-ssv2"], "V_JEPA.py:37-57"),
        "real.num": (5000, "JEDi.py:20"),
        "generated.num": (5000, "JEDi.py:20"),
        "resolution": (224, "V_JEPA.py:29-57"),
    },
}
TABLE["digan_sky"] = TABLE["digan"] | {
    "split": ("test", "compute_fvd_kvd.py:71"),
    "real.choice": ("non_overlapping", "src/training/dataset.py:136-150,548-553"),
}
TABLE["tats_sky"] = {key: value for key, value in TABLE["tats"].items() if key != "split"} | {
    "real.choice": ("random", "tats/data.py:551-597"),
    "preparation.antialias": (True, "tats/data.py:598-616"),
}
# Settings that the code of a protocol leaves to its caller.
NOT_FIXED = {
    "tats_sky": {"split"},
    "jedi": {"split", "real.choice", "real.stride", "real.min_frames", "generated.choice", "generated.stride"}
    | {"generated.codec", "preparation.crop", "preparation.filter", "preparation.antialias", "preparation.rounding"}
    | {"preparation.codec"},
}
PROTOCOLS = sorted(TABLE)


def evaluation_of(name, **changes):
    """The options that the protocol gives."""
    nested = {"real": {}, "generated": {}, "preparation": {}}
    for key, value in (NamedProtocol.find(name).settings | changes).items():
        section, dot, argument = key.rpartition(".")
        if dot:
            nested[section][argument] = value
        elif key != "resolution":
            nested[key] = value
    kinds = {"real": RealClips, "generated": GeneratedClips, "preparation": FramePreparation}
    return Evaluation(protocol=name, **{key: kinds[key](**one) if key in kinds else one for key, one in nested.items()})


def test_the_protocols_that_there_are():
    assert protocol_names() == [*PROTOCOLS, "custom"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_setting_is_that_of_the_source(name):
    expected = USUAL | {setting: value for setting, (value, _) in TABLE[name].items()}
    expected = {setting: value for setting, value in expected.items() if setting not in NOT_FIXED.get(name, ())}
    assert NamedProtocol.find(name).settings == expected
    stretched = any(network.endswith("stretched") for network in expected["networks"])
    assert NamedProtocol.find(name).options.get("metrics.i3d_resize", "crop") == ("stretch" if stretched else "crop")
    evaluation_of(name)  # options accept all of it


class Videos:
    """A stand-in set: lengths and classes, names out of order."""

    lengths = np.array([40, 15, 200, 16, 46, 48, 130, 31, 90, 0, 64, 47], dtype=np.int64)
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1])

    def name(self, index):
        return f"/videos/{'hbkdajcelgif'[index]}.avi"


def drawn(video, num_starts):
    """A random first frame, as all draws of clips define it."""
    return int(np.random.default_rng((DRAW, 0, 0, video, 0)).integers(num_starts))


def clips_by_hand(name, frames, num):
    """(file, first frame) of each real clip, in words of the protocol's own code."""
    stride = 3 if name in ("latte", "far") else 1
    span = (frames - 1) * stride + 1
    usable = [v for v, length in enumerate(Videos.lengths) if length >= (frames * 3 if name == "latte" else span)]
    starts = {v: int(Videos.lengths[v]) - span + 1 for v in usable}
    rng = np.random.default_rng((ORDER, 0, 0))
    if name in ("digan", "tats"):  # every window with step 1, drawn from all of them
        windows = [(v, start) for v in usable for start in range(starts[v])]
        found = [windows[i] for i in rng.choice(len(windows), min(num, len(windows)), replace=False)]
    elif name in ("digan_sky", "larp"):  # consecutive clips without overlap
        windows = [(v, start) for v in usable for start in range(0, starts[v], frames)]
        found = [windows[i] for i in rng.choice(len(windows), min(num, len(windows)), replace=False)]
    elif name == "far":  # so many first clips of each class, shuffled
        each, found = -(-num // 3), []
        for v in (usable[place] for place in rng.permutation(len(usable))):
            if sum(Videos.labels[w] == Videos.labels[v] for w, _ in found) < each:
                found.append((v, 0))
        found = found[:num]
    elif name == "stylegan_v":  # the first by name
        found = [(v, drawn(v, starts[v])) for v in sorted(usable, key=Videos().name)[:num]]
    else:  # one random clip of each video, in random order
        found = [(v, drawn(v, starts[v])) for v in (usable[place] for place in rng.permutation(len(usable)))][:num]
    return [(Videos().name(v), start) for v, start in found]


@pytest.mark.parametrize("num", [None, 5])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_clips_of_a_stand_in_set(name, num):
    evaluation = evaluation_of(name)
    real = evaluation.real if num is None else replace(evaluation.real, num=num)
    for frames in evaluation.frames:
        windows = Windows(frames, real.stride or 1)
        clips = MeasuredClips.real(Videos(), windows, (8, 8), real, evaluation.preparation)
        assert clips.clips() == clips_by_hand(name, frames, num or 2048)
        assert 0 < len(clips) <= (num or 10**9)


def settings(name, networks=None, **changes):
    fixed = NamedProtocol.find(name).settings
    evaluation = evaluation_of(name, **changes)
    side = fixed["resolution"]
    found = networks if networks is not None else fixed["networks"]
    video, c3d = (
        [SimpleNamespace(name=one) for one in found if one.startswith("c3d") == is_c3d] for is_c3d in (False, True)
    )
    return settings_of(
        evaluation,
        evaluation.frames,
        (side, side),
        SimpleNamespace(video=video, c3d=c3d),
        evaluation.real.stride or 1,
        evaluation.split or "train",
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_name_is_said_if_each_setting_is_that_of_the_protocol(name):
    said = NamedProtocol.find(name).name_of(settings(name))
    missing = NamedProtocol.find(name).not_expressed
    assert said.startswith(name + (", apart from what cannot be had here: " if missing else ""))
    assert all(one in said for one in missing)
    free = NOT_FIXED.get(name, set())
    assert ("Not fixed by it" in said) == bool(free) and all(f"{setting} " in said for setting in free)
    assert (said == name) == (not missing and not free)


OTHER = {
    **{"frame_step": 4, "inception_splits": 3, "inception_loops": 2, "repeats": 3, "repeat_over": "both"},
    **{"frames": [17], "distances": ["kid_tfgan"], "split": "test"},
    **{"real.choice": "centre", "real.num": 77, "real.stride": 2, "real.clips_per_video": 2, "real.reuse": True},
    **{"real.min_frames": 99, "generated.choice": "random", "generated.num": 78, "generated.stride": 2},
    **{"generated.codec": "jpeg75", "preparation.crop": "none", "preparation.filter": "bicubic"},
    **{"preparation.antialias": False, "preparation.rounding": "round", "preparation.codec": "mp4"},
}
FREELY = {"real.clips_per_video": {"real.choice": "random"}, "real.reuse": {"real.num": 2048}}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_any_other_setting_is_named(name):
    protocol = NamedProtocol.find(name)
    for key, value in OTHER.items():
        actual = settings(name)
        also = protocol.also.get(key, [])
        if key not in protocol.settings or key not in actual or protocol.settings[key] == value or value in also:
            continue
        if key == "frame_step":
            actual |= {"frames": [*actual["frames"][:-1], 128]}  # of fewer it leaves nothing
        said = protocol.name_of(actual | {key: value})
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
        if key == "inception_splits" and not any("c3d" in network for network in actual["networks"]):
            continue  # nothing measures it
        assert said.startswith(f"custom ({name} but: ") and f"{key} {shown}" in said, key
    said = protocol.name_of(settings(name) | {"resolution": [64, 48]})
    assert said == f"custom ({name} but: resolution 64 x 48)"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_resampled_real_videos_are_those_of_no_protocol(name):
    assert "real.fps 8" in NamedProtocol.find(name).name_of(settings(name) | {"real.fps": 8}).partition(" but: ")[2]


def test_rows_may_be_left_out_and_further_ones_are_named():
    protocol = NamedProtocol.find("stylegan_v")
    bare = protocol.name_of(settings("stylegan_v"))
    fewer = settings("stylegan_v", ["i3d-stylegan-v"], frames=[16], inception_splits=0)
    assert protocol.name_of(fewer | {"frame_step": 1}) == bare
    more = settings("stylegan_v", ["i3d-stylegan-v", "transnetv2"], frames=[9, 16], distances=["frechet_biased", "kvd"])
    assert protocol.name_of(more) == ("custom (stylegan_v but: frames 9; distances kvd; networks transnetv2)")


def test_further_values_of_a_protocol_are_said_with_its_name():
    protocol = NamedProtocol.find("latte")
    assert protocol.name_of(settings("latte", split="all")) == "latte with split all"
    taichi = settings("latte", **{"real.stride": 6, "real.min_frames": 96})
    assert protocol.name_of(taichi) == "latte with real.stride 6, real.min_frames 96"
    assert NamedProtocol.find("cdfvd").name_of(settings("cdfvd", frames=[16, 128])).startswith("cdfvd with frames 128")


def test_files_that_are_not_the_published_ones():
    protocol = NamedProtocol.find("pvdm")
    of = lambda network: protocol.name_of(settings("pvdm", [network]))  # noqa: E731
    assert of("i3d-original (unverified file abc)") == (
        "pvdm, apart from what cannot be had here: no hash is on record of the file of i3d-original"
    )
    assert of("i3d-original (unrecognised file abc)") == "custom (pvdm but: i3d-original (unrecognised file abc))"


def test_counts_are_part_of_a_protocol():
    def said(name, real, generated):
        row = SimpleNamespace(network={}, real=real, generated=generated)
        row.network = {"name": "x"}
        return NamedProtocol.find(name).name_of(settings(name), [row])

    assert said("pvdm", 100, 2048) == "pvdm"  # the size of the set, if that is smaller
    assert said("pvdm", 100, 2047) == "custom (pvdm but: 2,047 of 2,048 generated clips)"
    assert said("digan", 100, 2048) == "custom (digan but: 100 of 2,048 real clips)"


@pytest.mark.parametrize(
    "name, near", [("late", "latte"), ("StyleGAN-V", "stylegan_v"), ("sgv", None), ("pvdm ", "pvdm"), ("../x", None)]
)
def test_an_unknown_protocol(name, near):
    for make in (NamedProtocol.find, lambda given: Evaluation(protocol=given)):
        with pytest.raises(InvalidArgumentError, match="is no protocol") as caught:
            make(name)
        assert "There are cdfvd, digan," in str(caught.value) and "\n" not in str(caught.value)
        assert near is None or f"Did you mean {near}" in str(caught.value)


def test_custom_is_no_protocol():
    assert NamedProtocol.find("custom").name_of({}) == "custom"
