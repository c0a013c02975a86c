"""Benchmarks of a running stack; they print measurements, without pass criteria."""
