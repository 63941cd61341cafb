"""The process inside every sandbox: sessions, files, health."""
