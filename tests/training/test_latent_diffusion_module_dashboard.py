"""What the dashboard shows of a model with classes and known frames."""

import pytest
import torch

from pvdm_lightning.training import LatentDiffusionModule, latent_diffusion_module
from small_latents import latent_diffusion
from small_pipeline import build

NAMES = ["a b", "../../evil\n", *map(str, range(9, 1, -1))]


def module(**conditions):
    pipeline = build(normalized=False, **conditions)
    module = LatentDiffusionModule(pipeline.denoiser)
    module.attach_first_stage(pipeline.first_stage)
    generator = torch.Generator().manual_seed(0)
    for parameter in module.ema.network.parameters():  # some start at zero, and conditions would have no effect
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return module


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latent_diffusion_module, "STEPS_IN_DASHBOARD", 1)


@pytest.fixture(scope="module")
def batch():
    clip = torch.randint(256, (3, 3, 4, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return {"clip": clip, "label": torch.tensor([1, 0, 1]), "index": torch.arange(3)}


def test_a_panel_of_each_of_the_first_classes(batch):
    panels = module(num_classes=10, class_names=NAMES).sample_for_logging(batch, 3)
    classes = {name: rows for name, rows in panels.items() if name.startswith("class_")}
    assert list(classes) == [f"class_{label}" for label in range(8)] and "continued" not in panels
    assert list(classes["class_0"]) == ["a b (class 0, of 10 classes)"]
    assert list(classes["class_1"]) == ["../../evil (class 1, of 10 classes)"]
    samples = [next(iter(rows.values())) for rows in classes.values()]
    assert all(videos.shape == (2, 3, 4, 16, 16) for videos in samples)
    assert not torch.equal(samples[0], samples[1])
    few = module(num_classes=2, class_names=["x", "y"]).sample_for_logging(batch, 1)
    assert list(few["class_1"]) == ["y (class 1)"] and "class_2" not in few


def test_held_out_clips_beside_what_is_made_of_their_first_frames(batch):
    model = module(known_frames=True, num_classes=2, class_names=["x", "y"])
    panel = model.sample_for_logging(batch, 2)["continued"]
    real, made = panel.values()
    assert list(panel) == ["held-out clip", "continued from its first frame"]
    assert torch.equal(real, batch["clip"][:2]) and made.shape == real.shape

    def made_of(batch):
        return model.sample_for_logging(batch, 2)["continued"]["continued from its first frame"]

    other = {**batch, "clip": batch["clip"].clone()}
    other["clip"][:, :, 1:] = 0  # frames that are not known
    assert torch.equal(made_of(other), made)
    other["clip"][:, :, 0] = 0
    assert not torch.equal(made_of(other), made)
    assert not torch.equal(made_of({**batch, "label": torch.tensor([0, 1, 0])}), made)
    latents = {**batch, "clip": model.first_stage.encode(batch["clip"]), "label": torch.tensor([-1, 0, 1])}
    assert next(iter(model.sample_for_logging(latents, 2)["continued"])) == "decoded latent of a held-out clip"


def test_a_model_of_the_paper_has_the_panels_of_before(batch):
    assert list(latent_diffusion().sample_for_logging(batch, 1)) == ["clips", "samples", "planes"]
