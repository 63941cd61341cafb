"""Providers make, find, start, stop and destroy sandboxes and open a byte stream into them."""
