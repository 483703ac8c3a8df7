"""The sections, in order of worth."""

from proof import card, gallery, largest, original, parity, sampling, stage_one, stage_two
from proof.section import Section

SECTIONS = (
    Section("card", "The card", 15, card.run),
    Section("parity", "Parity and limits", 120, parity.run, (stage_two.compile_large, stage_one.compile_step)),
    Section("stage_two", "Stage two: a training step", 75, stage_two.run),
    Section("stage_one", "Stage one: a training step", 60, stage_one.run),
    Section("sampling", "Encoding, decoding, sampling", 50, sampling.run),
    Section("original", "Beside the original implementation", 40, original.run),
    Section("largest", "Largest batches", 30, largest.run),
    Section("gallery", "Both stages on the embedded data", 90, gallery.run),
)
