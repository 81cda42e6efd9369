"""The loops that place, watch and settle jobs."""
