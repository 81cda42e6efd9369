"""What is done around a job's code, one concern a module."""
