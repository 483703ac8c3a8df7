"""`pvdm --help` and `pvdm --version`, without loading PyTorch."""

from pvdm_lightning import __version__

COMMANDS = {
    "fit": "Train stage one (the autoencoder) or stage two (latent diffusion).",
    "validate": "Run the validation of a checkpoint.",
    "test": "Measure reconstructions (stage one) or generated videos (stage two) against real ones.",
    "predict": "Sample videos (stage two), or reconstruct validation clips (stage one).",
    "encode": "Write the latents of a data set to a cache, from which stage two trains.",
    "evaluate": "Measure a folder of generated videos against a folder of real ones.",
    "check-data": "Check that every video of a data set can be read.",
    "weights": "List the pretrained files that others publish, or download them.",
    "import-original": "Turn weights of the original implementation into checkpoints.",
}


def overview() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}s}{about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pvdm COMMAND [options]",
            "",
            "Projected latent video diffusion: train, sample and evaluate.",
            "",
            *lines,
            "",
            "pvdm COMMAND --help lists the options of a command.",
            "Configurations: ae.yaml and ldm.yaml (the paper), demo_ae.yaml and demo_ldm.yaml (minutes on a CPU).",
            "",
        ]
    )


def version() -> str:
    """Of the package."""
    return f"pvdm {__version__}\n"
