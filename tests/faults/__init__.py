"""Faults with real processes: kill, stop, power cut; see docs/reference/reliability.md."""
