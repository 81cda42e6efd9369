"""What the API does: one function per method, one module per object class."""
