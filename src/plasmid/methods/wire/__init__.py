"""The forms in which objects leave the API (describe)."""
