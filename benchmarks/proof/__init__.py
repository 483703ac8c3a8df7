"""What `benchmarks/gpu.py` runs: one file a section, and how sections are run and reported."""
