"""Benchmarks: every figure as a ratio against something run beside it (`just bench`)."""
