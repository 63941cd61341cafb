"""Servicers: convert, call a use case, convert."""
