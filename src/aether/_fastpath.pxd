# What other compiled modules count with.

cdef enum:
    BUCKETS = 15

cdef class Durations:
    cdef long long[BUCKETS] _counts
    cdef readonly double seconds

    cpdef void observe(self, double seconds) noexcept

cdef class Tally:
    cdef public long long count
