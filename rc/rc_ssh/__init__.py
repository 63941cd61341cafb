"""The SSH face."""
