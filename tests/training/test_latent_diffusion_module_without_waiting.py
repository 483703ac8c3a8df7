"""A step on a GPU waits for nothing: shown with fake tensors, which have a device and no data."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from pvdm_lightning.callbacks import FiniteTraining
from pvdm_lightning.training import LatentDiffusionModule
from pvdm_lightning.training.batches import choose_pairs
from pvdm_lightning.training.optimization import make_optimizer
from pvdm_lightning.training.step_draws import StepDraws
from small_latents import batches_in_pixels_and_latents, latent_diffusion

CUDA = torch.device("cuda")
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")


class Transfers(TorchDispatchMode):
    """Counts copies from the host to a GPU and back; a fake tensor that is read raises an error by itself."""

    def __init__(self):
        super().__init__()
        self.to_device = self.to_host = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "cpu":
            return 1  # the host may read what it has
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[1] if func is torch.ops.aten.copy_.default else args[0]
            self._count(source.device.type, result.device.type)
        elif func is torch.ops.aten.lift_fresh.default:  # torch.tensor(..., device="cuda")
            self._count("cpu", result.device.type)
        return result

    def _count(self, source, target):
        self.to_device += (source, target) == ("cpu", "cuda")
        self.to_host += (source, target) == ("cuda", "cpu")


@pytest.mark.parametrize(
    ("operation", "to_device", "to_host"),
    [
        (lambda x: x + torch.ones(3).to(x.device), 1, 0),
        (lambda x: x.copy_(torch.ones(3)), 1, 0),
        (lambda x: torch.tensor([1.0], device=x.device), 1, 0),
        (lambda x: x.new_tensor(3.0), 1, 0),
        (lambda x: x.cpu(), 0, 1),
        (lambda x: x + torch.full_like(x, 2) + torch.arange(3, device=x.device), 0, 0),
    ],
)
def test_transfers_are_counted(operation, to_device, to_host):
    with FakeTensorMode():
        x = torch.ones(3, device=CUDA)
        with Transfers() as transfers:
            operation(x)
    assert (transfers.to_device, transfers.to_host) == (to_device, to_host)


@pytest.mark.parametrize("read", [lambda x: x.sum().item(), lambda x: bool(x.any()), lambda x: x.tolist()])
def test_a_tensor_that_is_read_is_noticed(read):
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        read(torch.ones(3, device=CUDA))


@pytest.fixture
def on_gpu(monkeypatch):
    """A module on a fake GPU; what it draws are numbers. Returns it, and what it logs."""
    with FakeTensorMode(allow_non_fake_inputs=True), CUDA:
        module = latent_diffusion()

    def draw_numbers(draw, *args):
        with unset_fake_temporarily():
            return draw(*args)

    for name in ("_draw", "_draw_held_out"):
        monkeypatch.setattr(module, name, partial(draw_numbers, getattr(module, name)))
    logged = []
    monkeypatch.setattr(module, "log", lambda *args, **options: logged.append((*args, options)))
    monkeypatch.setattr(LatentDiffusionModule, "global_step", 5)
    optimizer = SimpleNamespace(param_groups=[{"lr": 1e-4}])
    monkeypatch.setattr(module, "optimizers", lambda: SimpleNamespace(optimizer=optimizer))
    connector = SimpleNamespace(should_update_logs=False)
    module._trainer = SimpleNamespace(_logger_connector=connector, global_step=5)
    return module, logged


def batch_on_gpu(pixels):
    shape = (8, 3, 4, 16, 16) if pixels else (8, 4, 20)
    with FakeTensorMode(allow_non_fake_inputs=True):
        clip, previous = torch.empty(2, *shape, dtype=torch.uint8 if pixels else torch.float32, device=CUDA)
    return {"clip": clip, "previous": previous, "has_previous": torch.arange(8) > 1, "index": torch.arange(8)}


@pytest.mark.parametrize("pixels", [False, True])
def test_a_training_step_copies_once_and_waits_for_nothing(on_gpu, pixels):
    module, logged = on_gpu
    batch = batch_on_gpu(pixels)
    with FakeTensorMode(allow_non_fake_inputs=True), Transfers() as transfers:
        loss = module.training_step(batch, 3)
    assert loss.device.type == "cuda" and loss.requires_grad
    assert (transfers.to_device, transfers.to_host) == (1, 0)
    # Lightning makes tensors of numbers on the GPU, and reads what is in its progress bar after each batch.
    assert {name for name, *_ in logged} >= {"train/loss", "train/learning_rate", "train/ema_decay"}
    assert all(isinstance(value, torch.Tensor) and not options.get("prog_bar") for _, value, options in logged)


def test_a_validation_step_copies_once(on_gpu):
    module, _ = on_gpu
    with FakeTensorMode(allow_non_fake_inputs=True), CUDA:
        module._means = SimpleNamespace(add=lambda *_: None)
    batch = batch_on_gpu(False)
    with FakeTensorMode(allow_non_fake_inputs=True), Transfers() as transfers:
        module.validation_step(batch, 3)
    assert (transfers.to_device, transfers.to_host) == (1, 0)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_update_of_weights_and_average_copies_nothing(on_gpu, name):
    module, _ = on_gpu
    with FakeTensorMode(allow_non_fake_inputs=True):
        optimizer = make_optimizer(name, module.denoiser, 1e-4)
        module.ema._known_updates = 4  # read from the buffer once
        for _ in range(2):
            gradients(module)
            with Transfers() as transfers:
                optimizer.step()
                module.ema.update(module.denoiser)
    assert (transfers.to_device, transfers.to_host) == (0, 0)


def test_a_gradient_is_checked_and_clipped_without_waiting_for_it(on_gpu, monkeypatch):
    """The norm goes to the host, which looks at that of the step before."""
    module, _ = on_gpu
    waited = []
    monkeypatch.setattr(torch.cuda, "Event", lambda: Event(waited))
    module._trainer.precision_plugin = MixedPrecision("bf16-mixed", "cuda")
    module._trainer.gradient_clip_val = 1.0
    guard = FiniteTraining()
    with FakeTensorMode(allow_non_fake_inputs=True):
        optimizer = make_optimizer("adamw", module.denoiser, 1e-4, fused=module._fused())
        module._trainer.optimizers = [optimizer]
        for step in range(3):
            gradients(module)
            with Transfers() as transfers:
                guard.on_before_optimizer_step(module._trainer, module, optimizer)
                module.configure_gradient_clipping(optimizer, 1.0, "norm")
                optimizer.step()
            assert (transfers.to_device, transfers.to_host) == (0, 1)
            assert waited == list(range(step))


class Event:
    """In place of one of CUDA: notes the number of the one that is waited for."""

    recorded = 0

    def __init__(self, waited):
        self.waited = waited

    def record(self):
        self.number, Event.recorded = Event.recorded, Event.recorded + 1

    def synchronize(self):
        self.waited.append(self.number)


def gradients(module):
    for weight in module.denoiser.parameters():
        weight.grad = torch.empty_like(weight)


class Loss(nn.Module):
    """The loss of a step on cached latents, given what is drawn."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.network = module.denoiser

    def forward(self, clip, previous, t, noise, swap, kept):
        draws = StepDraws(t, noise, swap, {"previous": kept}, {})
        z_0, condition = choose_pairs({"clip": clip, "previous": previous}, draws, self.module.pipeline.to_latent)
        return self.module._losses(self.network, z_0, condition, draws.t, draws.noise)


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_a_graph_of_fixed_sizes(training):
    module = latent_diffusion()
    for parameter in module.denoiser.parameters():
        nn.init.normal_(parameter, std=0.1)
    batch = batches_in_pixels_and_latents(module)[1]
    draws = StepDraws.draw(
        torch.Generator().manual_seed(0), {"previous": batch["has_previous"]}, {"previous": 0.5}, 1000, (4, 20)
    )
    given = (batch["clip"], batch["previous"], *draws[:3], draws.kept["previous"])
    loss = Loss(module).train(training)
    assert module.denoiser.training == training
    graph = torch.export.export(loss, given, strict=False).module()
    others = (batch["previous"], batch["clip"], draws.t.flip(0), draws.noise.flip(0), ~draws.swap, ~given[-1])
    with torch.no_grad():
        for arguments in (given, others):
            torch.testing.assert_close(graph(*arguments), loss(*arguments))
