"""Floods of log lines: what makes them inside a sandbox, and what checks what was kept of them."""
