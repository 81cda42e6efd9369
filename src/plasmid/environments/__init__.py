"""Base images and what is put on them."""
