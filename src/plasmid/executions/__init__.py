"""How jobs live; the only writer of a job's state."""
