"""Stores and feeds for the logs of jobs."""
