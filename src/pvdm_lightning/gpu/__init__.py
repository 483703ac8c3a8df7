"""Faster modules for CUDA, swapped into built networks; imported by the command line and benchmarks alone."""
