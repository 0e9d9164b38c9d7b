"""What a process does with memory that it no longer needs."""

import ctypes
import functools
import sys

# The parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_MOST = 2**31 - 1


@functools.cache
def keep_memory(*, of_all_threads: bool = False) -> bool:
    """Have this process keep the memory that it frees, for its next use; to be called before a CPU computes.

    By default glibc gives back each freed block of more than 32 MiB and takes a new one for the next tensor, which the
    kernel has to fill with zeros, page by page. The tensors of a forward pass are of that size: without this, half of
    the time of ResNet-50 goes there (batches of 64 at 224 pixels). The memory of the process stays at its peak until
    it ends.

    Args:
        of_all_threads: the heap of the main thread is the only one that holds such blocks; let all threads that are
            started from now on use it. To be called before libraries that start threads are imported.

    Returns:
        Whether it was done; other C libraries than glibc are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _MOST} | ({_M_ARENA_MAX: 1} if of_all_threads else {})
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
