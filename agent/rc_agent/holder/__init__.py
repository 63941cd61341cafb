"""The process that holds one session: PTY or pipes, log, input, process tree. Standard library only, quick to start."""
