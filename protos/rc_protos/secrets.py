"""Which environment variables hold credentials. Standard library only, light imports."""

_WORDS = ("API_KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY", "ACCESS_KEY")


def is_secret(name: str) -> bool:
    """Whether a variable of this name looks like a credential; such ones stay out of the daemon's environment."""
    upper = name.upper()
    return any(word in upper for word in _WORDS)
