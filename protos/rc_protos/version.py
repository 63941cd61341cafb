"""The version of rc and of the protocol that faces and daemon speak. Light imports only."""

VERSION = "0.2.0.dev0"
# Raised when a client needs a newer daemon; a newer daemon serves older clients.
PROTOCOL = 1
