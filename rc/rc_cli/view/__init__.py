"""How things look on a terminal; standard library only."""
