"""What `gpu` runs: one file a section, and how sections are run and reported."""
