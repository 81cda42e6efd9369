"""Runs jobs on one machine; knows the platform over HTTP only."""
