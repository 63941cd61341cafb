"""Every command with its flags, a file for each kind; nothing is imported until a command runs."""
