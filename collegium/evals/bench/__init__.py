"""Benchmarks of parts of Collegium on this machine."""
