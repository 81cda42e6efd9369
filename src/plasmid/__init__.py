"""Plasmid runs DNAnexus applets and apps, unmodified, on any machine."""

__version__ = "0.1.0"
