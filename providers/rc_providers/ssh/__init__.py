"""Sandboxes on any host that SSH reaches: what the provider `local` does there.

`far` runs there, with the standard library only: nothing is imported here.
"""
