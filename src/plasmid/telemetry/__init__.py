"""Logging and metrics of Plasmid itself."""
