"""Checks that nothing is lost and nothing is left: the invariants, on what is really stored."""
