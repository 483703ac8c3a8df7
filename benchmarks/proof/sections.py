"""The sections, in order of worth; `compiled`, which needs minutes of its own, runs where it is named."""

from proof import card, compiled, gallery, largest, original, parity, sampling, stage_one, stage_two
from proof.section import Section

SECTIONS = (
    Section("card", "The card", 15, card.run),
    Section("parity", "Parity and limits", 75, parity.run),
    Section("stage_two", "Stage two: a training step", 60, stage_two.run),
    Section("stage_one", "Stage one: a training step", 45, stage_one.run),
    Section("sampling", "Encoding, decoding, sampling", 60, sampling.run),
    Section("original", "Beside the original implementation", 60, original.run),
    Section("largest", "Largest batches", 30, largest.run),
    Section("gallery", "Both stages on the embedded data", 90, gallery.run),
)
COMPILED = Section("compiled", "Training steps, compiled", 480, compiled.run)
