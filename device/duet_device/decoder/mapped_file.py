"""Give back memory that holds a model's file, where the process read it once and copied it.

llama.cpp maps the file, and rearranges most quantized weights for the processor into memory of its
own. The mapped pages of those are not read again, but count as the process's for as long as it runs.
"""

import ctypes
import re
from pathlib import Path

# Of <sys/mman.h> on Linux: the next access reads the page from the file again.
_MADV_DONTNEED = 4
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r--s [0-9a-f]+ \S+ (\d+) ")


def release(path: Path) -> None:
    """Drop the pages of a file that this process maps to read; pages in use come back when read.

    Does nothing on systems without /proc.

    Args:
        path: the file.
    """
    try:
        inode = path.stat().st_ino
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return
    advise = ctypes.CDLL(None).madvise
    for start, end, found in _MAPPING.findall(maps):
        if int(found) == inode:
            first = int(start, 16)
            advise(ctypes.c_void_p(first), ctypes.c_size_t(int(end, 16) - first), _MADV_DONTNEED)
