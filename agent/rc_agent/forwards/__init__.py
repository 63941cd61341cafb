"""Connections into and out of the sandbox, and what listens in it."""
