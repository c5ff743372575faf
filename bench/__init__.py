"""Benchmarks: each prints a table and one JSON line, and compares side by side in one run."""
