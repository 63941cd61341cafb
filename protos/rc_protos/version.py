"""The version of rc and of the protocol that faces and daemon speak. Light imports only."""

VERSION = "0.1.0"
# Raised when a client needs a newer daemon; a newer daemon serves older clients.
PROTOCOL = 1
