"""HTTP and websocket doors to the methods."""
