"""What things mean: ids, specs, states, permissions. Pure, no I/O."""
