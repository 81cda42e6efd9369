"""Who is calling: tokens."""
