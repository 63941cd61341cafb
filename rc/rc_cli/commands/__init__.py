"""One file per noun: what `rc` does, imported only when it is called."""
