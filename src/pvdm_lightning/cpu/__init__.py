"""What makes networks faster on a CPU; nothing else in the package depends on it."""
