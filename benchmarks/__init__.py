"""Measures what the project costs and how good its samples are; `python -m benchmarks` lists what can be run."""
