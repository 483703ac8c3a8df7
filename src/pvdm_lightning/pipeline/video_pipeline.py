"""VideoPipeline: what a trained model is used for, without Lightning."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.diffusion import (
    BoundDenoiser,
    Denoise,
    Guidance,
    NoiseSchedule,
    PredictionType,
    bind,
    sample_clips,
)
from pvdm_lightning.diffusion.guidance import Predict
from pvdm_lightning.diffusion.samplers import OnStep, RunStep
from pvdm_lightning.diffusion.samplers.sampler import Step, call
from pvdm_lightning.errors import InvalidArgumentError, check_videos
from pvdm_lightning.memory import check_memory
from pvdm_lightning.models.condition import Condition, KnownFrames
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.pipeline import hub, loading
from pvdm_lightning.pipeline.autoguidance import check_autoguidance, weights_sha256
from pvdm_lightning.pipeline.cast_weights import CastWeights
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.given import Given, continued
from pvdm_lightning.pipeline.known_frames import FrameMask, fill_unknown
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization
from pvdm_lightning.pipeline.model_card import Shown
from pvdm_lightning.pipeline.sampling import Sampling
from pvdm_lightning.random import make_generator

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
Device = str | int | torch.device
StepCallback = Callable[["VideoPipeline", int, int, dict[str, Tensor]], dict[str, Tensor] | None]
"""``callback(pipeline, step, timestep, {"latents": Tensor})``, as `callback_on_step_end` of diffusers."""


class Graphs(Protocol):
    """Captures steps of samplers, and replays them; see `CudaGraphs`."""

    def __call__(self, key: Hashable, step: Step, /, *inputs: Any) -> Any:
        """The results of ``step(*inputs)``; steps with equal keys are the same function."""
        ...

    def clear(self) -> None:
        """Free all graphs."""
        ...


class VideoPipeline:
    """Encodes, reconstructs and samples videos with trained networks.

    Videos are uint8 [B 3 T H W]. Load a pipeline with `from_pretrained`, and call it to sample.

    Args:
        first_stage: The autoencoder.
        denoiser: The denoiser of stage two, as samples are drawn with it (its EMA); None if only stage one is trained.
        schedule: The noise schedule it was trained with.
        normalization: Normalization of the latents that it was trained on; None if they were not normalized.
        prediction_type: What the denoiser predicts.
        about: What it was trained on, and how far; for the model card.
        sampling: Default sampler, steps, eta and guidance of `sample`. `save_pretrained` saves them; not autoguidance.

    Attributes:
        graphs: Replays the steps of samplers as CUDA graphs, captured at the first batch of each shape and kept until
            `release`: ``pipeline.graphs = CudaGraphs()``, of `pvdm_lightning.gpu.cuda_graph`. None calls the network.
        autoguidance: The worse network of autoguidance, as a pipeline; see `guide_by`.
    """

    def __init__(
        self,
        first_stage: FrozenAutoencoder,
        denoiser: Denoiser | None = None,
        schedule: NoiseSchedule | None = None,
        normalization: LatentNormalization | None = None,
        prediction_type: PredictionType = "epsilon",
        about: dict[str, Any] | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.first_stage = first_stage
        self.denoiser = denoiser
        self.schedule = schedule or NoiseSchedule()
        self.normalization = normalization
        self.prediction_type: PredictionType = prediction_type
        self.about = about or {}
        self.sampling = sampling or Sampling()
        self.graphs: Graphs | None = None
        self.autoguidance: VideoPipeline | None = None
        self._guided_by: VideoPipeline | Denoiser | str | None = None
        self._cast: CastWeights | None = None
        self._is_cast = False
        self.set_progress_bar_config()

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: Device | None = None, dtype: torch.dtype | None = None
    ) -> VideoPipeline:
        """Load a trained pipeline.

        Args:
            path: A folder that `save_pretrained` wrote, "showcase" or "showcase_games" (which come with the package),
                or a checkpoint of `pvdm fit`, of either stage: the file, or the folder of its run. Of a model hub,
                "org/name" or "org/name@revision", where nothing here has that name, or "hf://org/name".
            device: Where the networks go; None is the CPU.
            dtype: Data type of the networks; None is float32. See `to`.

        Raises:
            InvalidArgumentError: There is no pipeline or checkpoint of this project, or it is damaged.
        """
        return cls(**loading.parts_of(path)).to(device, dtype)

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: Device | None = None, dtype: torch.dtype | None = None
    ) -> VideoPipeline:
        """The same as `from_pretrained`, which takes checkpoints as well."""
        return cls.from_pretrained(path, device, dtype)

    def save_pretrained(
        self,
        folder: str | Path,
        pictures: Sequence[str | Path] = (),
        metrics: Mapping[str, float] | str | Path | None = None,
    ) -> None:
        """Write model.safetensors, config.json and a model card, README.md, into a folder.

        Args:
            folder: The folder.
            pictures: Paths of pictures for the card, such as those of ``python -m benchmarks showcase``.
            metrics: Values for the card: by name, or the path of a report that `pvdm test` or `pvdm evaluate` wrote.

        Raises:
            InvalidArgumentError: The folder holds other files of these names, or a picture or the report is not there.
        """
        self._write(Path(folder), Shown.of(pictures, metrics))

    def push_to_hub(
        self,
        repo_id: str,
        pictures: Sequence[str | Path] = (),
        metrics: Mapping[str, float] | str | Path | None = None,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a pipeline of pvdm_lightning",
        token: str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes to a model hub, from where `from_pretrained` takes it.

        Needs huggingface_hub (``pip install 'pvdm-lightning[hub]'``). HF_ENDPOINT names another hub than its own.

        Args:
            repo_id: ``org/name``; the repository is made if there is none.
            pictures: As `save_pretrained`.
            metrics: As `save_pretrained`.
            private: Whether a new repository is private. Default: as the organization has it.
            revision: Branch to commit to. Default: the main one.
            commit_message: Message of the one commit.
            token: Login. Default: that of HF_TOKEN, or of `hf auth login`.

        Returns:
            Address of the commit.

        Raises:
            InvalidArgumentError: The hub cannot be reached or refuses, or as `save_pretrained`.
        """
        shown = Shown.of(pictures, metrics, repo_id)
        with tempfile.TemporaryDirectory() as folder:
            self._write(Path(folder), shown)
            return hub.push(Path(folder), repo_id, private, revision, commit_message, token)

    def _write(self, folder: Path, shown: Shown) -> None:
        parts = {
            "autoencoder": self.first_stage.autoencoder,
            "denoiser": self.denoiser,
            "normalization": self.normalization,
        }
        networks = {name: part for name, part in parts.items() if part is not None}
        loading.write_folder(folder, networks, self.schedule, self.prediction_type, self.about, self.sampling, shown)

    def to(self, device: Device | torch.dtype | None = None, dtype: torch.dtype | None = None) -> VideoPipeline:
        """Move the networks to a device, change their data type, or both, in place.

        Videos stay uint8 and latents float32: the sampler's arithmetic needs the digits. With bfloat16, weights take
        half the memory, and samples differ slightly.

        Args:
            device: Such as "cuda". A data type in its place is taken as `dtype`.
            dtype: torch.float32, torch.bfloat16, torch.float16 or torch.float64.

        Raises:
            InvalidArgumentError: There is no such device, or it is no data type of networks.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype in _DTYPES):
            names = ", ".join(map(str, _DTYPES[:-1]))
            raise InvalidArgumentError(
                "VideoPipeline.dtype", dtype, "is no data type of networks", f"Give {names} or {_DTYPES[-1]}."
            )
        if device is not None:
            try:
                torch.empty(0, device=device)
            except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
                reason = str(error).splitlines()[0].rstrip(".")[:120]
                raise InvalidArgumentError(
                    "VideoPipeline.device", device, f"cannot be used ({reason})", "Give one of this machine, as cpu."
                ) from error
            if torch.device(device).type == "meta":
                raise InvalidArgumentError("VideoPipeline.device", device, "holds no weights", "Give another, as cpu.")
        for part in (self.first_stage, self.denoiser):
            if part is not None:
                part.to(device=device, dtype=dtype)
        for tables in (self.schedule, self.normalization):
            if tables is not None:
                tables.to(device=device)
        self.release()
        return self

    def release(self) -> None:
        """Free what sampling keeps for further batches: CUDA graphs, and weights in the precision of autocast."""
        self._cast = None
        if self.autoguidance is not None:
            self.autoguidance.release()
        if self.graphs is not None:
            self.graphs.clear()

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of a clip."""
        return self.first_stage.autoencoder.clip_shape

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.first_stage.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the networks."""
        return next(self.first_stage.parameters()).dtype

    def __repr__(self) -> str:
        frames, height, width = self.clip_shape
        parts: list[tuple[str, nn.Module]] = [("autoencoder", self.first_stage.autoencoder)]
        lines = [f"clips: {frames} frames of {height} x {width} pixels"]
        if self.denoiser is not None:
            parts.append(("denoiser", self.denoiser))
        for name, network in parts:
            size = sum(parameter.numel() for parameter in network.parameters()) / 1e6
            lines.append(f"{name}: {type(network).__name__}, {size:.3g} M parameters")
        if self.denoiser is None:
            lines.append("denoiser: none, only stage one is trained")
        else:
            latents = "latents" if self.normalization is None else "normalized latents"
            lines.append(f"predicts: {self.prediction_type} of {latents}")
            first, later = self.sampling.steps(self.schedule)
            steps = f"{first} steps" if first == later else f"{first} steps, {later} for later clips"
            lines.append(f"sampling: {self.sampling.sampler}, {steps}, {self.sampling.guidance}")
        lines.append(f"device: {self.device}, {str(self.dtype).removeprefix('torch.')}")
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"

    def encode(self, video: Tensor) -> Triplane:
        """Clips uint8 [B 3 S H W] -> their latent planes, float32 in [-1, 1].

        Raises:
            ValueError: The clips are not uint8 in 0..255, or have another size than the autoencoder takes.
        """
        check_videos("VideoPipeline.video", video, "[B 3 S H W]")
        latent = self.first_stage.encode(video.to(self.device))
        return Triplane.from_sequence(latent, self.first_stage.autoencoder.latent_shape)

    def decode(self, latent: Triplane) -> Tensor:
        """Latent planes in [-1, 1] -> clips uint8 [B 3 S H W]."""
        return self.first_stage.decode(latent.to_sequence().to(self.device))

    def reconstruct(self, video: Tensor) -> Tensor:
        """Clips uint8 [B 3 S H W] -> what the autoencoder makes of them, likewise."""
        return self.decode(self.encode(video))

    def set_progress_bar_config(self, **options: Any) -> None:
        """Choose how `sample` shows its progress, as in diffusers.

        Args:
            options: Arguments of tqdm. ``disable=True`` turns the bar off; ``disable=False`` shows it where the output
                is no terminal, too.
        """
        # None is tqdm's word for a bar on terminals alone.
        self._progress_bar_options = {"desc": "sampling", "unit": "step", "disable": None, **options}

    def sample(
        self,
        num_videos: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        num_inference_steps_later: int | None = None,
        sampler: str | None = None,
        eta: float | None = None,
        guidance_scale: float | None = None,
        guidance_scale_known: float | None = None,
        guidance_scale_label: float | None = None,
        guidance_scale_context: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_rescale: float | None = None,
        autoguidance: VideoPipeline | Denoiser | str | Path | None = None,
        autoguidance_scale: float | None = None,
        seed: int | None = 0,
        batch_size: int = 4,
        class_names: Sequence[str | int] | None = None,
        overlap: int | None = None,
        previous: Tensor | None = None,
        known: Tensor | None = None,
        known_mask: Tensor | str | None = None,
        context: Tensor | None = None,
        extra: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
        callback_on_step_end: StepCallback | None = None,
    ) -> Tensor:
        """Sample videos, or continue some. Calling the pipeline is the same.

        Arguments that are None take their values from `sampling`, the defaults of the pipeline.

        Args:
            num_videos: How many. Default: as many as the clips, frames or vectors that are given, or 1.
            num_frames: Frames of each. Default: one clip.
            num_inference_steps: Steps for the first clip, N of the paper's N/M-s.
            num_inference_steps_later: Steps for each later clip, M. Default: as many as for the first.
            sampler: ddim, ddpm, dpm_solver, dpm_solver_sde, or another name in `SAMPLERS`.
            eta: Fresh noise in each step of ddim: 0 is deterministic.
            guidance_scale: Scale of classifier-free guidance on later clips; 1 is none. See `Sampling`.
            guidance_scale_known: The same for known frames.
            guidance_scale_label: The same for classes.
            guidance_scale_context: The same for vectors of context.
            guidance_interval: First and last time of all guidance, as shares of the times, 0 to 1.
            guidance_rescale: How far guided samples get back the contrast that they have without guidance, 0 to 1.
            autoguidance: The worse network of autoguidance, see `guide_by`.
            autoguidance_scale: How far samples move away from what the worse network predicts; 1 is not at all.
            seed: Up to rounding, video i of a seed is the same for every `num_videos` and `batch_size`. None draws a
                seed from PyTorch's global generator.
            batch_size: Videos sampled at once.
            class_names: Classes to sample, by name or number, the videos taking them in turn. Default: all of the
                model; an empty list samples without a class.
            overlap: Frames of each clip that the next one continues, see `Sampling`.
            previous: Clips uint8 [N 3 S H W] to continue; they are not part of the result. Of this and what follows,
                one stands for all videos.
            known: First clips of which some frames are known, uint8 [N 3 S H W]; they are part of the result.
            known_mask: Which frames of `known` are known: bool [S] or [N S], or a text such as first:4, ends:1, every:2
                (see `FrameMask`).
            context: Vectors that the model is conditioned on, [N M E].
            extra: Further parts of the model's condition, by name, [N ...].
            generator: Draws the seed, in place of `seed`.
            callback_on_step_end: Called after each step as ``callback(pipeline, step, timestep, {"latents": z_t})``,
                with latents [B C L]; steps count from 0 over all clips and batches. The latents are replaced by those
                that it returns in such a dictionary, if any; an exception ends the sampling.

        Returns:
            uint8 [N 3 T H W], on the CPU.

        Raises:
            InvalidArgumentError: There is no denoiser, or an argument cannot be used.
        """
        frames, height, width = self.clip_shape
        denoiser = self._denoiser()
        if isinstance(known_mask, str):
            known_mask = FrameMask.parse(known_mask, "VideoPipeline.known_mask").mask(frames)
        if known_mask is not None and known_mask.dim() == 1:
            known_mask = known_mask[None]
        given = Given(previous, known, known_mask, context, extra or {})
        given.check(denoiser, self.clip_shape)
        given, num_videos = given.for_each(num_videos)
        if generator is not None or seed is None:
            device = None if generator is None else generator.device
            seed = int(torch.randint(2**62, (), generator=generator, device=device))
        if num_inference_steps is None and num_inference_steps_later is None:
            num_inference_steps_later = self.sampling.num_inference_steps_later
        chosen: dict[str, Any] = {
            "num_inference_steps": num_inference_steps,
            "sampler": sampler,
            "eta": eta,
            "guidance_scale": guidance_scale,
            "guidance_scale_known": guidance_scale_known,
            "guidance_scale_label": guidance_scale_label,
            "guidance_scale_context": guidance_scale_context,
            "guidance_interval": guidance_interval,
            "guidance_rescale": guidance_rescale,
            "autoguidance_scale": autoguidance_scale,
        }
        autoguidance_ckpt = self.sampling.autoguidance_ckpt
        options = replace(
            self.sampling,
            autoguidance_ckpt=None if autoguidance is not None or autoguidance_scale == 1 else autoguidance_ckpt,
            num_videos=num_videos,
            num_frames=num_frames,
            num_inference_steps_later=num_inference_steps_later,
            seed=seed,
            batch_size=batch_size,
            class_names=self.sampling.class_names if class_names is None else list(class_names),
            overlap=self.sampling.overlap if overlap is None else overlap,
            **{name: value for name, value in chosen.items() if value is not None},
        )
        if autoguidance is not None:
            if options.autoguidance_scale == 1:
                problem, remedy = "leaves autoguidance without effect", "Give another, such as 2."
                raise InvalidArgumentError("Sampling.autoguidance_scale", options.autoguidance_scale, problem, remedy)
            self.guide_by(autoguidance)
        options.check_memory(self.clip_shape)
        shape = (options.num_videos, 3, num_frames or frames, height, width)
        check_memory("Sampling.num_videos", options.num_videos, math.prod(shape), "all of them together")
        batches = torch.arange(options.num_videos).split(batch_size)
        total = len(batches) * self.num_steps(options, continues=previous is not None)
        with tqdm(total=total, **self._progress_bar_options) as bar:
            number = 0

            def on_step(step: int, timestep: int, latents: Tensor) -> None:
                nonlocal number
                if callback_on_step_end is not None:
                    returned = callback_on_step_end(self, number, timestep, {"latents": latents}) or {}
                    latents.copy_(returned.get("latents", latents))
                number += 1
                bar.update()

            videos = [self.generate(batch.tolist(), options, given.rows(batch.tolist()), on_step) for batch in batches]
        if self.graphs is None:
            self.release()
        return torch.cat(videos)

    __call__ = sample

    @torch.no_grad()
    def generate(
        self, indices: Sequence[int], sampling: Sampling, given: Given | None = None, on_step: OnStep | None = None
    ) -> Tensor:
        """One batch of videos, by their indices: uint8 [B 3 T H W] on the CPU. See `sample`.

        Args:
            indices: Numbers of the videos; each has random numbers of its own.
            sampling: How to sample.
            given: What is given of these videos.
            on_step: Called after each step of each clip.
        """
        return torch.cat(list(self.stream(indices, sampling, given, on_step)), dim=2)

    def stream(
        self, indices: Sequence[int], sampling: Sampling, given: Given | None = None, on_step: OnStep | None = None
    ) -> Iterator[Tensor]:
        """As `generate`, clip after clip as they are drawn: uint8 [B 3 t H W], in memory that does not grow with T."""
        given = given or Given()
        frames, wanted = self.clip_shape[0], sampling.num_frames or self.clip_shape[0]
        overlap = sampling.overlap_of(self._denoiser(), frames)
        continues = given.previous is not None and overlap > 0
        clips = self._clips(indices, sampling, given, overlap, on_step)
        for number, clip in enumerate(clips):
            new = clip[:, :, overlap if number or continues else 0 :][:, :, :wanted]
            wanted -= new.shape[2]
            yield new

    @torch.no_grad()
    def _clips(
        self, indices: Sequence[int], sampling: Sampling, given: Given, overlap: int, on_step: OnStep | None
    ) -> Iterator[Tensor]:
        """Whole clips uint8 [B 3 S H W] on the CPU, those that continue frames of the one before with these frames."""
        denoiser, frames = self._denoiser(), self.clip_shape[0]
        network = self.first_stage.autoencoder
        shape = (len(indices), network.latent_channels, network.latent_shape.num_tokens)
        self.prepare_guidance(sampling)
        generators = [make_generator(sampling.seed, index) for index in indices]
        first, later = sampling.samplers(self.schedule)
        labels = sampling.labels(indices, denoiser.class_names).to(self.device)  # raises if there are no such classes
        always = Condition(
            label=labels if denoiser.num_classes else None,
            context=None if given.context is None else given.context.to(self.device).float(),
            extra={name: part.to(self.device) for name, part in given.extra.items()},
        )
        # Decoded where the next clip continues its frames, and where it is handed out.
        decoded: list[Tensor] = []

        def denoise_after(latent: Tensor | None) -> Denoise:
            if latent is not None:
                decoded.append(self.to_pixels(latent).cpu())
            known, mask, before = None, None, latent
            if overlap and latent is not None:
                known, mask = continued(decoded[-1][:, :, -overlap:], frames)
            elif overlap and given.previous is not None:
                known, mask = continued(given.previous[:, :, -overlap:].cpu(), frames)
            elif latent is None:
                known, mask = given.known, given.mask
                before = None if given.previous is None else self.to_latent(given.previous.to(self.device))
            condition = self._with_frames(always, None if overlap else before, known, mask)
            return self.bind(condition, sampling.guidance)

        num_clips = sampling.num_clips(frames, overlap, continues=given.previous is not None)
        with self.cast_weights():
            run = self._runner(sampling)
            for latent in sample_clips(denoise_after, first, later, shape, num_clips, generators, None, on_step, run):
                if decoded:
                    yield decoded.pop()
                last = latent
            yield self.to_pixels(last).cpu()

    def _with_frames(
        self, condition: Condition, previous: Tensor | None, known: Tensor | None, mask: Tensor | None
    ) -> Condition | None:
        """A condition with the latent of the clip before, and with known frames of the clip itself."""
        frames = None
        if known is not None and mask is not None:
            filled = fill_unknown(known.to(self.device), mask.to(self.device))
            frames = KnownFrames(self.to_latent(filled), mask.to(self.device))
        condition = condition._replace(previous=previous, known=frames)
        return condition if condition.given else None

    def num_steps(self, sampling: Sampling, continues: bool = False) -> int:
        """Steps of a sampler that a batch of videos takes; `continues`: videos continue a clip that is given."""
        frames = self.clip_shape[0]
        first, later = sampling.steps(self.schedule)
        overlap = sampling.overlap_of(self._denoiser(), frames)
        return first + (sampling.num_clips(frames, overlap, continues) - 1) * later

    def _denoiser(self) -> Denoiser:
        if self.denoiser is None:
            raise InvalidArgumentError(
                "VideoPipeline.denoiser", None, "only stage one is trained", "Load a checkpoint of stage two."
            )
        return self.denoiser

    def _runner(self, sampling: Sampling) -> RunStep:
        """What runs the steps of samplers."""
        graphs = None if self.denoiser is None or _is_sharded(self.denoiser) else self.graphs
        if graphs is None and sampling.cuda_graph == "on":
            remedy = "Set VideoPipeline.graphs to CudaGraphs(), of a model that is not sharded, or give auto."
            raise InvalidArgumentError("Sampling.cuda_graph", "on", "no graphs are captured here", remedy)
        if graphs is None or sampling.cuda_graph == "off":
            return call
        # All that a step is made of but its tensors. Which videos are drawn, and how many, changes no step.
        options = repr(replace(sampling, num_videos=1, num_frames=None, seed=0, batch_size=1))
        parts = (self.schedule, *self._graph_key())
        worse = () if self.autoguidance is None else self.autoguidance._graph_key()
        return partial(graphs, (options, parts, worse))

    def _graph_key(self) -> tuple[Hashable, ...]:
        """What a graph keeps of this pipeline beside the schedule."""
        return self.denoiser, self.prediction_type, self._cast if self._is_cast else None

    def guide_by(self, worse: VideoPipeline | Denoiser | str | Path) -> None:
        """Choose the worse network that `sample` moves away from where its `autoguidance_scale` is not 1.

        It is kept for further calls, on the device of this pipeline.

        Args:
            worse: A pipeline, a checkpoint or a saved pipeline, trained on the same latents: an earlier checkpoint of
                the run, or a smaller network. A denoiser alone was trained as that of this pipeline.

        Raises:
            InvalidArgumentError: It takes other latents, or there is no such file.
        """
        given: VideoPipeline | Denoiser | str = str(worse) if isinstance(worse, Path) else worse
        if given is self._guided_by or (isinstance(given, str) and given == self._guided_by):
            return
        argument, name = "VideoPipeline.autoguidance", type(given).__name__
        if isinstance(given, VideoPipeline):
            pipeline = given
        elif isinstance(given, str):
            argument, name = "Sampling.autoguidance_ckpt", given
            try:
                pipeline = VideoPipeline.from_pretrained(given)
            except InvalidArgumentError as error:
                raise InvalidArgumentError(argument, given, error.problem, error.remedy) from error
        else:
            pipeline = self._with_denoiser(given, self.prediction_type)
        check_autoguidance(self, pipeline, argument, name)
        assert pipeline.denoiser is not None
        self.autoguidance = self._with_denoiser(pipeline.denoiser, pipeline.prediction_type)
        self._guided_by = given

    def prepare_guidance(self, sampling: Sampling) -> None:
        """Load what autoguidance needs, before the first batch.

        Raises:
            InvalidArgumentError: There is no worse network, or it takes other latents.
        """
        if sampling.autoguidance_ckpt is not None:
            self.guide_by(sampling.autoguidance_ckpt)
        if sampling.autoguidance_scale != 1:
            self._predict_worse(sampling.guidance)

    def autoguidance_record(self, sampling: Sampling) -> dict[str, str]:
        """The hash of the worse network's weights, for records of how videos are made; empty without autoguidance."""
        if sampling.autoguidance_scale == 1 or self.autoguidance is None or self.autoguidance.denoiser is None:
            return {}
        return {"autoguidance_sha256": weights_sha256(self.autoguidance.denoiser)}

    def _with_denoiser(self, denoiser: Denoiser, prediction_type: PredictionType) -> VideoPipeline:
        """The same with another denoiser; all else is shared."""
        return VideoPipeline(self.first_stage, denoiser, self.schedule, self.normalization, prediction_type)

    def _predict_worse(self, guidance: Guidance | None) -> Predict | None:
        """Predicts epsilon by the worse network, given the parts of a condition that it takes."""
        if guidance is None or guidance.autoguidance_scale == 1:
            return None
        if self.autoguidance is None or self.autoguidance.denoiser is None:
            remedy = "Give Sampling.autoguidance_ckpt, such as an earlier checkpoint of the run."
            problem = "there is no worse network to move away from"
            raise InvalidArgumentError("Sampling.autoguidance_scale", guidance.autoguidance_scale, problem, remedy)
        worse = self.autoguidance.denoiser.to(self.device)
        predict = self.autoguidance.bind().predict

        def predict_worse(z_t: Tensor, t: Tensor, condition: Condition | None) -> Tensor:
            if condition is not None:
                condition = condition.without(*(name for name in condition.given if name not in worse.conditions))
            return predict(z_t, t, condition)

        return predict_worse

    @contextmanager
    def cast_weights(self) -> Iterator[None]:
        """Under autocast, keep the denoiser's weights in its precision, converted at the start of the context.

        What they take is kept for the next time, see `release`. Sharded weights stay as they are.
        """
        with nullcontext() if self.autoguidance is None else self.autoguidance.cast_weights():
            yield from self._cast_own_weights()

    def _cast_own_weights(self) -> Iterator[None]:
        device = self.device.type
        if self.denoiser is None or not torch.is_autocast_enabled(device) or _is_sharded(self.denoiser):
            yield
            return
        dtype = torch.get_autocast_dtype(device)
        if self._cast is None or self._cast.network is not self.denoiser or self._cast.dtype != dtype:
            self._cast = CastWeights(self.denoiser, dtype)
        self._is_cast = True
        try:
            with self._cast.in_place():
                yield
        finally:
            self._is_cast = False

    def bind(self, condition: Condition | None = None, guidance: Guidance | None = None) -> BoundDenoiser:
        """Bind the denoiser to condition, guidance and prediction type, for a sampler, which expects epsilon.

        Samplers compute in float32, whatever the data type of the network.

        Args:
            condition: What the samples are conditioned on, with latents as the denoiser sees them; None is nothing.
            guidance: The guidance; None is none. Autoguidance takes the network of `guide_by`.

        Raises:
            InvalidArgumentError: Only stage one is trained, or there is no network for autoguidance.
        """
        denoiser = self._denoiser()
        dtype = next((parameter.dtype for parameter in denoiser.parameters()), torch.float32)
        if self._is_cast:
            dtype = torch.float32  # as without: autocast converts where it computes in lower precision

        def network(z_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
            return denoiser(z_t.to(dtype), t, None if condition is None else condition.to(dtype)).float()

        predict_worse = self._predict_worse(guidance)
        return bind(network, self.schedule, self.prediction_type, condition, guidance, predict_worse)

    def to_latent(self, clip: Tensor) -> Tensor:
        """Clips uint8 [B 3 S H W], or latents of the autoencoder [B C L] -> latents [B C L] of the denoiser."""
        latent = self.first_stage.to_latent(clip)
        if self.normalization is None:
            return latent
        return self.normalization(latent, self.first_stage.autoencoder.latent_shape)

    def to_pixels(self, latent: Tensor) -> Tensor:
        """Latents [B C L] as the denoiser sees them -> clips uint8 [B 3 S H W]."""
        if self.normalization is not None:
            latent = self.normalization.inverse(latent, self.first_stage.autoencoder.latent_shape)
        return self.first_stage.decode(latent)


def _is_sharded(network: nn.Module) -> bool:
    """Whether each process has a part of the weights."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FSDPModule

    return any(isinstance(part, FSDPModule) for part in network.modules())
