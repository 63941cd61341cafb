"""The local daemon: registry, links, reconcilers and the API."""
