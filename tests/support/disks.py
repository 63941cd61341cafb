"""A disk that is small and can be full: a memory file system of bounded size; only root can make one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """It is full, and it has room again."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """To the last byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                while True:
                    try:
                        if file.write(b"x" * size) < size:
                            break
                    except OSError:
                        break

    def free(self) -> None:
        """Room again."""
        self._ballast.unlink()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Disk]:
    """In the block: a file system of this size at the place."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={size},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "rc-test", str(place)], check=True, timeout=30)
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=30)
