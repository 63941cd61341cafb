"""The ACP client over a session."""
