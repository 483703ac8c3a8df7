"""The classes that a checkpoint may name, by their public paths."""

PACKAGE = "pvdm_lightning"
NETWORKS = (f"{PACKAGE}.VideoAutoencoder", f"{PACKAGE}.TriplaneUNet")
MODULES = (f"{PACKAGE}.AutoencoderModule", f"{PACKAGE}.LatentDiffusionModule")
DATA_MODULES = tuple(
    f"{PACKAGE}.{name}"
    for name in ("CachedLatents", "FrameFolder", "SkyTimelapse", "Synthetic", "UCF101", "VideoFolder")
)


def class_path(cls: type) -> str:
    """The name by which YAML and checkpoints call a class: a public one, whatever file it is in, if it has one."""
    public = f"{PACKAGE}.{cls.__qualname__}"
    known = cls.__module__.startswith(f"{PACKAGE}.") and public in (*NETWORKS, *MODULES, *DATA_MODULES)
    return public if known else f"{cls.__module__}.{cls.__qualname__}"
