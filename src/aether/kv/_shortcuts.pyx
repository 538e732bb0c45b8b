# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Getting and putting the same values again, compiled (kv 7.1, 7.2).

What clients do most with values is to get and put a few keys over and over. The first times a request takes the way
through :mod:`aether.kv.service`, which decides whether it may be done. Where the next one would be decided alike, the
service leaves a :class:`Shortcut` behind, filed under the fields that the decision depends on: operation, scope, key,
user and workspace. A request with the same fields then goes from its bytes to the store's entry and back to a frame,
without an object for the message. Whatever is unusual -- a key that is not there, a set, an entry out of date, a life
in seconds, authority, other operations -- is left to the service, which answers everything.

Shortcuts are forgotten together with the routes of messages, when anything changes that was decided by.
"""

from collections import OrderedDict

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from aether._fastpath cimport Durations, Tally

from aether.errors import WorkspaceFull
from aether.kv.semantics import Entry

cdef enum:
    SHORTCUTS_MAX = 256  # of a session; one more forgets them all
    KV_OP_TAG = 0x22  # UpstreamMessage.kv_op
    GET = 0
    PUT = 1



cdef class Usage:
    """What a workspace stores, in keys and bytes, and may at most; 0: any number.

    :ivar account: its name.
    """

    cdef readonly str account
    cdef public long long keys
    cdef public long long bytes
    cdef public long long keys_max
    cdef public long long bytes_max

    def __init__(self, str account):
        self.account = account
        self.keys = self.bytes = self.keys_max = self.bytes_max = 0

    cpdef charge(self, bytes key, before, after):
        """Count what a change of one entry adds, or takes away; None stands for no entry.

        :raises WorkspaceFull: it would be too much of what it adds to; then nothing is counted.
        """
        cdef int keys = (after is not None) - (before is not None)
        cdef long long size = _stored_size(key, after) - _stored_size(key, before)
        if keys > 0 and 0 < self.keys_max < self.keys + keys:
            raise WorkspaceFull("kv_keys_per_workspace", self.account, self.keys, self.keys_max)
        if size > 0 and 0 < self.bytes_max < self.bytes + size:
            raise WorkspaceFull("kv_bytes_per_workspace", self.account, self.bytes, self.bytes_max)
        self.keys += keys
        self.bytes += size


cdef long long _stored_size(bytes key, entry) except -1:
    """Bytes of a key and its value; each member of a set has four more, as it is stored."""
    cdef long long size = PyBytes_GET_SIZE(key)
    cdef object value
    if entry is None:
        return 0
    value = (<tuple>entry)[0]
    if type(value) is bytes:
        return size + PyBytes_GET_SIZE(value)
    for member in value:
        size += PyBytes_GET_SIZE(member) + 4
    return size


cdef class Entries:
    """What a store in this process knows of its entries without asking the disk, the newest first.

    Entries are filed by place, a tuple of namespace id and key; None says that nothing is there.

    :ivar staged: changed since the last batch was sealed.
    :ivar committing: in the batch that is being written.
    :ivar stored: as on disk, those that were used longest ago first.
    :ivar usages: whom a namespace is charged to, by its id; of those that were used lately.
    :ivar batches: has ``open_ticket``, the ticket of what is staged.
    :ivar begin: announces a change and returns the ticket of its batch; raises what keeps the store from writing.
    :ivar clock: current Unix time in milliseconds.
    """

    cdef public dict staged
    cdef public dict committing
    cdef readonly object stored
    cdef readonly dict usages
    cdef readonly object batches
    cdef readonly object begin
    cdef readonly object clock

    def __init__(self, batches, begin, clock):
        self.staged = {}
        self.committing = {}
        self.stored = OrderedDict()
        self.usages = {}
        self.batches = batches
        self.begin = begin
        self.clock = clock

    cdef PyObject* find(self, tuple place, long long* ticket) except? NULL:
        """The newest known entry and the ticket that it depends on, 0 for none; NULL when only the disk knows."""
        cdef PyObject* entry = PyDict_GetItemWithError(self.staged, place)
        ticket[0] = 0
        if entry is not NULL:
            ticket[0] = self.batches.open_ticket
            return entry
        entry = PyDict_GetItemWithError(self.committing, place)
        if entry is not NULL:
            ticket[0] = <long long>self.batches.open_ticket - 1
            return entry
        entry = PyDict_GetItemWithError(self.stored, place)
        if entry is not NULL:
            self.stored.move_to_end(place)
        return entry


cdef class Shortcut:
    """A request that is allowed, and where its value is.

    :ivar place: as in :class:`Entries`.
    """

    cdef readonly tuple place
    cdef readonly Durations durations
    cdef readonly Tally tally

    def __init__(self, tuple place, Durations durations, Tally tally):
        self.place = place
        self.durations = durations
        self.tally = tally


cdef struct Request:
    int op
    const char* what  # operation, scope and key, as encoded
    Py_ssize_t what_size
    const char* where  # user and workspace, as encoded
    Py_ssize_t where_size
    const char* value
    Py_ssize_t value_size
    const char* request_id
    Py_ssize_t request_id_size


cdef class Shortcuts:
    """Those of one session.

    :param entries: of the store.
    :param value_max: bytes; a longer value is the service's to refuse.
    :param answer: called with the frame, the ticket to be durable before it is sent, and the request's id.
    """

    cdef Entries _entries
    cdef Py_ssize_t _value_max
    cdef object _answer
    cdef dict _known

    def __init__(self, Entries entries, Py_ssize_t value_max, answer):
        self._entries = entries
        self._value_max = value_max
        self._answer = answer
        self._known = {}

    def add(self, bytes question, Shortcut shortcut):
        """File a shortcut under the canonical encoding of the fields that it was decided by."""
        if len(self._known) >= SHORTCUTS_MAX:
            self._known.clear()
        self._known[question] = shortcut

    def take(self, bytes message):
        """Answer an ``UpstreamMessage``; False leaves everything to the service."""
        cdef Request request
        cdef timespec began
        cdef Shortcut shortcut
        if not _read(PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), &request):
            return False
        shortcut = <Shortcut>self._known.get(_question(&request))
        if shortcut is None:
            return False
        clock_gettime(CLOCK_MONOTONIC, &began)
        if request.op == GET:
            return self._get(shortcut, &request, &began)
        return self._put(shortcut, &request, &began)

    cdef bytes _current(self, Shortcut shortcut, long long* ticket):
        """The plain value that is there now; None when the service has to look."""
        cdef PyObject* found = self._entries.find(shortcut.place, ticket)
        cdef object entry, value, expires_ms
        if found is NULL:
            return None
        entry = <object>found
        if entry is None:
            return None
        value, expires_ms = <tuple>entry
        if type(value) is not bytes or (expires_ms and expires_ms <= self._entries.clock()):
            return None
        return <bytes>value

    cdef bint _get(self, Shortcut shortcut, Request* request, timespec* began) except -1:
        cdef long long ticket
        cdef bytes value = self._current(shortcut, &ticket)
        if value is None:
            return False
        _meter(shortcut, began)
        self._answer(
            _found(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), request), ticket, _request_id(request)
        )
        return True

    cdef bint _put(self, Shortcut shortcut, Request* request, timespec* began) except -1:
        """Replace what is there; a new key is counted, which is for the service."""
        cdef long long ticket
        cdef Py_ssize_t more
        cdef bytes current
        cdef Usage usage
        if request.value_size > self._value_max:
            return False
        current = self._current(shortcut, &ticket)
        usage = <Usage>self._entries.usages.get(shortcut.place[0])
        if current is None or usage is None:
            return False
        more = request.value_size - PyBytes_GET_SIZE(current)
        if more > 0 and 0 < usage.bytes_max < usage.bytes + more:
            return False
        try:
            ticket = self._entries.begin()
        except Exception:  # the service meets it too, and says what it means
            return False
        usage.bytes += more
        self._entries.staged[shortcut.place] = Entry(PyBytes_FromStringAndSize(request.value, request.value_size))
        _meter(shortcut, began)
        self._answer(_found(NULL, 0, request), ticket, _request_id(request))
        return True


cdef inline void _meter(Shortcut shortcut, timespec* began) noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    shortcut.durations.observe((now.tv_sec - began.tv_sec) + (now.tv_nsec - began.tv_nsec) * 1e-9)
    shortcut.tally.count += 1


cdef inline str _request_id(Request* request):
    return request.request_id[:request.request_id_size].decode("ascii")


cdef inline bytes _question(Request* request):
    """The fields that a decision depends on, in the order that protobuf gives them."""
    cdef bytes question
    cdef char* out
    if request.where_size == 0:
        return PyBytes_FromStringAndSize(request.what, request.what_size)
    question = PyBytes_FromStringAndSize(NULL, request.what_size + request.where_size)
    out = PyBytes_AS_STRING(question)
    memcpy(out, request.what, request.what_size)
    memcpy(out + request.what_size, request.where, request.where_size)
    return question


# ------------------------------------------------------------------------------------------------------- the wire


cdef bint _size(const char** cursor, const char* end, Py_ssize_t* size) noexcept:
    """A length, and that so much is left."""
    cdef unsigned long long result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while cursor[0] < end and shift < 28:
        byte = <unsigned char>cursor[0][0]
        cursor[0] += 1
        result |= <unsigned long long>(byte & 0x7F) << shift
        if byte < 0x80:
            size[0] = <Py_ssize_t>result
            return size[0] <= end - cursor[0]
        shift += 7
    return False


cdef bint _read(const char* data, Py_ssize_t size, Request* out) noexcept:
    """A message that is a plain get or put and nothing else: fields in order, each once, none with its default."""
    cdef const char* cursor = data
    cdef const char* end = data + size
    cdef const char* start
    cdef Py_ssize_t length, index
    cdef int field = 0, last = 0
    cdef unsigned char tag
    if size < 2 or <unsigned char>data[0] != KV_OP_TAG:
        return False
    cursor += 1
    if not _size(&cursor, end, &length) or cursor + length != end:
        return False
    out.op = GET
    out.what = out.where = out.value = out.request_id = cursor
    out.what_size = out.where_size = out.value_size = out.request_id_size = 0
    while cursor < end:
        start = cursor
        tag = <unsigned char>cursor[0]
        cursor += 1
        field = tag >> 3
        if tag > 0x7F or field <= last:
            return False
        if field <= 2:
            if tag & 7 != 0 or cursor == end or <unsigned char>cursor[0] > 0x7F or cursor[0] == 0:
                return False
            if field == 1:
                out.op = cursor[0]
                if out.op != PUT:
                    return False
            cursor += 1
            out.what_size = cursor - out.what
        else:
            if tag & 7 != 2 or not _size(&cursor, end, &length):
                return False
            if field == 3:
                out.what_size = cursor + length - out.what
            elif field == 4:
                out.value = cursor
                out.value_size = length
            elif field <= 6:
                if out.where_size == 0:
                    out.where = start
                out.where_size = cursor + length - out.where
            elif field == 8:
                out.request_id = cursor
                out.request_id_size = length
                for index in range(length):
                    if <unsigned char>cursor[index] > 0x7F:  # may be no text at all
                        return False
            else:
                return False
            cursor += length
        last = field
    return True


cdef inline Py_ssize_t _length(Py_ssize_t size) noexcept:
    """Bytes of a tag, a length and as many bytes as it says; nothing of nothing."""
    cdef Py_ssize_t rest = size >> 7
    if size == 0:
        return 0
    size += 2
    while rest:
        size += 1
        rest >>= 7
    return size


cdef inline char* _write_size(char* out, Py_ssize_t size) noexcept:
    while size > 0x7F:
        out[0] = <char>(size & 0x7F | 0x80)
        size >>= 7
        out += 1
    out[0] = <char>size
    return out + 1


cdef inline char* _write(char* out, char tag, const char* data, Py_ssize_t size) noexcept:
    """A field, unless it is empty."""
    if size == 0:
        return out
    out[0] = tag
    out = _write_size(out + 1, size)
    memcpy(out, data, size)
    return out + size


cdef bytes _found(const char* value, Py_ssize_t value_size, Request* request):
    """The frame of ``KVResponse{success, value, request_id}``, as :func:`aether.kv.wire.found` builds it."""
    cdef Py_ssize_t inner = 2 + _length(value_size) + _length(request.request_id_size)
    cdef Py_ssize_t message = _length(inner)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, 5 + message)
    cdef char* out = PyBytes_AS_STRING(frame)
    out[0] = 0
    out[1] = <char>(message >> 24)
    out[2] = <char>(message >> 16)
    out[3] = <char>(message >> 8)
    out[4] = <char>message
    out[5] = 0x2A
    out = _write_size(out + 6, inner)
    out[0] = 0x08
    out[1] = 0x01
    out = _write(out + 2, 0x12, value, value_size)
    _write(out, 0x2A, request.request_id, request.request_id_size)
    return frame
