"""Writing .npz files with the same bytes on every Python."""

import zipfile
from pathlib import Path

import numpy as np

from pipeline.core import files

_HEADER_BYTES = 4096  # more than any array's


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """The named arrays as an uncompressed .npz without pickle.

    Not by `np.savez`, which leaves headers to zipfile: Python 3.11.4 writes others than 3.11.2.
    """

    def save(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
                entry.create_system = 3  # Unix
                # Set beforehand, so that only an array of 2 GiB gets the long header.
                entry.file_size = array.nbytes + _HEADER_BYTES
                with archive.open(entry, "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)

    files.write(path, save)
