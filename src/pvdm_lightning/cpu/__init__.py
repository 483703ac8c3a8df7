"""What makes a CPU faster: modules with the same results, and how memory is kept. Only cli and benchmarks import it."""
