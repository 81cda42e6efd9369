"""Everything that is kept and is not bytes."""
