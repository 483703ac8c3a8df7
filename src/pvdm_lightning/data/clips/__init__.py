"""Clips of videos: windows, samples, batches."""
