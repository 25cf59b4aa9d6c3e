"""The columns of a large plan in files while it is made: memory does not grow with offers and contacts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from decisioning.errors import Unavailable
from decisioning.plan_offers import Shelf


class FileShelf(Shelf):
    """Columns as files that are mapped into memory: the system keeps of them what fits, and writes the rest out.

    The files are gone from their folder at once, and from the disk with the plan, however its process ends.

    Parameters
    ----------
    folder : Path
        Of a disk, not of memory; it must exist.

    Raises
    ------
    Unavailable
        The folder cannot be written, or its disk is full.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[str, IO[Any]] = {}

    def put(self, name: str, part: np.ndarray) -> None:
        """Append to a column."""
        with self._plainly():
            if name not in self._files:
                self._files[name] = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it is kept open
            part.tofile(self._files[name])

    def column(self, name: str, dtype: type[np.generic]) -> np.ndarray:
        """All that was put into a column, which is no longer there then."""
        with self._plainly():
            file = self._files.pop(name, None)
            size = 0 if file is None else file.tell()
            if file is None or not size:
                return np.zeros(0, dtype=dtype)
            with file:
                file.flush()
                return _mapped(file, size // np.dtype(dtype).itemsize, dtype)

    def empty(self, n: int, dtype: type[np.generic]) -> np.ndarray:
        """A new array to be filled, shape (n,)."""
        if not n:
            return np.empty(0, dtype=dtype)
        with self._plainly(), tempfile.TemporaryFile(dir=self._folder) as file:
            size = n * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):  # a full disk is found out here, not when the memory is written to
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return _mapped(file, n, dtype)

    def kept(self, values: np.ndarray) -> np.ndarray:
        """An array as it is kept here."""
        column = self.empty(len(values), values.dtype.type)
        column[:] = values
        return column

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"what a plan keeps while it is made cannot be written to {self._folder}", got=error.strerror) from None


def _mapped(file: IO[Any], n: int, dtype: type[np.generic]) -> np.ndarray:
    """The file as an array, which holds it by itself."""
    return np.asarray(np.memmap(file, dtype=dtype, mode="r+", shape=(n,)))
