"""How a worker speaks to the API."""
