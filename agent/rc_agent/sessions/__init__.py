"""Sessions: their directories, their holders, and the service that shows them."""
