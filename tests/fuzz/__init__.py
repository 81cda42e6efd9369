"""Calls made up from the API's document, against a server that has one of everything."""
