"""Files of the sandbox, by bytes paths."""
