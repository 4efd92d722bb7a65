"""How the process of a training on a CPU holds its memory."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt(3)."""


def keep_memory() -> bool:
    """Let freed memory stay with the process: the next step then takes it without faulting in every page of it anew.

    Each activation is megabytes, which glibc otherwise maps and gives back at every step: a sixth of a step's time.
    Whether the C library has such a setting; others go on as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
