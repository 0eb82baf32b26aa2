"""How fast the hot path is, as ratios: `python -m benchmarks --help`; method and results in docs/performance.md."""
