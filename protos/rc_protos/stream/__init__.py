"""Resuming by offset, numbered input and framing: no sockets, no event loop."""
