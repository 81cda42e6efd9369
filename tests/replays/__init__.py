"""Seeded failures of jobs, each replayed: the same end, reason and last words."""
