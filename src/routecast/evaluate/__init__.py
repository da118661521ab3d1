"""What routing costs and what it keeps: curves, metrics, benchmarks."""
