"""How each package manager is driven; copied into sandboxes, for Python 2.7 and 3.4 onwards."""
