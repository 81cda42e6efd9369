"""What a sandbox can reach."""
