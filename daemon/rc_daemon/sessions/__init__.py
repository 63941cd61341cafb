"""Session logs on the daemon's host."""
