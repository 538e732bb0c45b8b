# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""The per-message path, compiled.

A plain ``SendMessage`` never becomes a protobuf object.  :meth:`Port.on_messages` reads topic, payload and type from
the bytes, looks the topic up among the routes this session was already allowed to use, builds the ``IncomingMessage``
frame once, appends it to the topic's log buffer and hands the same bytes to every live lane.

Everything unusual -- a first message to a topic, a metric, authority, any other operation -- goes to the Python path
(:mod:`aether.messaging.router`), which applies the same rules and, where the decision may be reused, leaves a
:class:`Route` behind.  The rules themselves exist twice, readable in :mod:`aether.topics` and compiled here, and are
held equal by a property test.

Rules of this file: no I/O, no await, no exception leaves ``on_messages``; every change of state for one message
happens between two Python bytecodes of the caller, so no other task sees half of it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy

# ------------------------------------------------------------------------------------------------ topics and rules

cdef enum:
    AG, TU, TA, TB, US, UW, UU, GA, GU, PG, TK, EVENT, METRIC, BR, SV
    TOPIC_BYTES_MAX = 256
    SEGMENT_BYTES_MAX = 128
    SEGMENTS_MAX = 4

cdef enum:
    DIRECT = (1 << AG) | (1 << TU) | (1 << TA) | (1 << TB)
    PEOPLE = (1 << US) | (1 << UW) | (1 << GA) | (1 << GU) | (1 << BR) | (1 << SV) | (1 << TK)
    FAN_IN = (1 << EVENT) | (1 << METRIC)
    LAST_MAY_BE_EMPTY = (1 << AG) | (1 << TA) | (1 << US) | (1 << BR) | (1 << SV)

# Indexed by the principal's number in InitConnection; see topics.MATRIX.
cdef unsigned int[9] MATRIX = [
    0,
    DIRECT | PEOPLE | FAN_IN,
    DIRECT | PEOPLE | FAN_IN,
    DIRECT | PEOPLE,
    DIRECT,
    DIRECT | PEOPLE | FAN_IN | (1 << UU),
    0,
    DIRECT | PEOPLE | FAN_IN | (1 << UU),
    DIRECT | PEOPLE | FAN_IN | (1 << UU),
]


cdef int _prefix(const char* text, Py_ssize_t size) noexcept nogil:
    """Number of the topic family, or -1."""
    if size == 2:
        if text[0] == c"a" and text[1] == c"g": return AG
        if text[0] == c"t":
            if text[1] == c"u": return TU
            if text[1] == c"a": return TA
            if text[1] == c"b": return TB
            if text[1] == c"k": return TK
        if text[0] == c"u":
            if text[1] == c"s": return US
            if text[1] == c"w": return UW
            if text[1] == c"u": return UU
            return -1
        if text[0] == c"g":
            if text[1] == c"a": return GA
            if text[1] == c"u": return GU
        if text[0] == c"p" and text[1] == c"g": return PG
        if text[0] == c"b" and text[1] == c"r": return BR
        if text[0] == c"s" and text[1] == c"v": return SV
    elif size == 5 and memcmp(text, b"event", 5) == 0:
        return EVENT
    elif size == 6 and memcmp(text, b"metric", 6) == 0:
        return METRIC
    return -1


cdef bint _forbidden(const char* text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef unsigned char c
    for i in range(size):
        c = <unsigned char>text[i]
        if c <= 0x20 or c == 0x7F or c == c"*" or c == c">":
            return True
    return False


cdef int _classify(const char* text, Py_ssize_t size) noexcept nogil:
    """Family of a well-formed target, -1 when malformed; ``tk::..::events`` and ``pg`` are well formed."""
    cdef Py_ssize_t[5] start
    cdef Py_ssize_t[5] stop
    cdef Py_ssize_t i = 0, begin = 0
    cdef int count = 0, prefix, k
    cdef bint long_segment = False
    if size == 0 or size > 3 * SEGMENT_BYTES_MAX + 16:
        return -1
    while i < size:
        if text[i] == c":" and i + 1 < size and text[i + 1] == c":":
            if count == 4:
                return -1
            start[count] = begin
            stop[count] = i
            count += 1
            i += 2
            begin = i
        else:
            i += 1
    if count == 0:
        return -1
    start[count] = begin
    stop[count] = size
    count += 1
    if count > SEGMENTS_MAX:
        return -1
    for k in range(count):
        if stop[k] - start[k] > SEGMENT_BYTES_MAX:
            long_segment = True
    if size > TOPIC_BYTES_MAX and long_segment:
        return -1
    prefix = _prefix(text, stop[0])
    if prefix < 0:
        return -1
    if prefix == EVENT or prefix == METRIC:
        if count != 2:
            return -1
        if stop[1] - start[1] >= 8 and memcmp(text + start[1], b"receiver", 8) == 0:
            return prefix if stop[1] - start[1] == 9 and text[start[1] + 8] == c"0" else -1
        if stop[1] == start[1] or (stop[1] - start[1] == 1 and text[start[1]] == c"*"):
            return prefix
        if text[start[1]] == c":" or text[size - 1] == c":":
            return -1
        return -1 if _forbidden(text + start[1], stop[1] - start[1]) else prefix
    if _forbidden(text, size):
        return -1
    if prefix == SV:
        if count != 2 and count != 3:
            return -1
    elif prefix == PG:
        if not (count == 2 or (count == 3 and stop[1] - start[1] == 2 and memcmp(text + start[1], b"us", 2) == 0)):
            return -1
    elif prefix == AG or prefix == TU or prefix == TA or prefix == TK:
        if count != 4:
            return -1
    elif prefix == TB or prefix == US or prefix == UW or prefix == BR:
        if count != 3:
            return -1
    elif count != 2:
        return -1
    for k in range(1, count):
        if stop[k] == start[k]:
            if k == count - 1 and count > 2 and (LAST_MAY_BE_EMPTY >> prefix) & 1:
                continue
            return -1
        if text[start[k]] == c":" or text[stop[k] - 1] == c":":
            return -1
    if prefix == TK:
        if stop[3] - start[3] == 3 and memcmp(text + start[3], b"msg", 3) == 0:
            return prefix
        if stop[3] - start[3] == 6 and memcmp(text + start[3], b"events", 6) == 0:
            return prefix
        return -1
    return prefix


def classify(bytes topic):
    """Number of the topic family (:class:`aether.topics.Prefix`), or -1 for a malformed target (routing 2.2)."""
    return _classify(PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic))


def may_send(int sender, bytes topic):
    """Grammar and permission matrix in one step: may ``sender`` (a PrincipalType) send to ``topic`` (routing 3.4)?"""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(topic)
    cdef const char* text = PyBytes_AS_STRING(topic)
    cdef int prefix = _classify(text, size)
    if prefix < 0 or sender < 1 or sender > 8:
        return False
    if prefix == TK and size >= 8 and memcmp(text + size - 8, b"::events", 8) == 0:
        return False
    return bool((MATRIX[sender] >> prefix) & 1)


# ------------------------------------------------------------------------------------------------------- frame codec

cdef inline Py_ssize_t _varint_size(unsigned long long value) noexcept nogil:
    cdef Py_ssize_t size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline char* _put_varint(char* out, unsigned long long value) noexcept nogil:
    while value >= 0x80:
        out[0] = <char>((value & 0x7F) | 0x80)
        out += 1
        value >>= 7
    out[0] = <char>value
    return out + 1


cdef inline bint _get_varint(const unsigned char** cursor, const unsigned char* end, unsigned long long* value) noexcept nogil:
    cdef unsigned long long result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while cursor[0] < end and shift < 64:
        byte = cursor[0][0]
        cursor[0] += 1
        result |= (<unsigned long long>(byte & 0x7F)) << shift
        if byte < 0x80:
            value[0] = result
            return True
        shift += 7
    return False


cdef struct Send:
    const char* topic
    Py_ssize_t topic_size
    const char* payload
    Py_ssize_t payload_size
    unsigned long long message_type


cdef bint _read_send(const unsigned char* data, Py_ssize_t size, Send* out) noexcept nogil:
    """True for an ``UpstreamMessage`` holding only a plain ``send``: topic, payload and type, each at most once."""
    cdef const unsigned char* cursor = data
    cdef const unsigned char* end = data + size
    cdef unsigned long long length
    cdef unsigned char tag
    cdef int seen = 0
    if size < 2 or cursor[0] != 0x12:
        return False
    cursor += 1
    if not _get_varint(&cursor, end, &length) or length != <unsigned long long>(end - cursor):
        return False
    out.topic = NULL
    out.topic_size = 0
    out.payload = NULL
    out.payload_size = 0
    out.message_type = 0
    while cursor < end:
        tag = cursor[0]
        cursor += 1
        if tag == 0x0A or tag == 0x12:
            if seen & (1 << (tag >> 3)):
                return False
            seen |= 1 << (tag >> 3)
            if not _get_varint(&cursor, end, &length) or length > <unsigned long long>(end - cursor):
                return False
            if tag == 0x0A:
                out.topic = <const char*>cursor
                out.topic_size = <Py_ssize_t>length
            else:
                out.payload = <const char*>cursor
                out.payload_size = <Py_ssize_t>length
            cursor += length
        elif tag == 0x18:
            if seen & 8:
                return False
            seen |= 8
            if not _get_varint(&cursor, end, &out.message_type) or out.message_type > 0x7FFFFFFF:
                return False
        else:
            return False
    return out.topic_size > 0


cdef bytes _build_frame(bytes head, const char* payload, Py_ssize_t payload_size, unsigned long long message_type, bytes tail):
    """gRPC prefix + DownstreamMessage{msg: IncomingMessage}; head and tail are ready-made fields."""
    cdef Py_ssize_t head_size = PyBytes_GET_SIZE(head), tail_size = PyBytes_GET_SIZE(tail)
    cdef Py_ssize_t inner = head_size + tail_size
    cdef Py_ssize_t total
    cdef bytes result
    cdef char* out
    if payload_size:
        inner += 1 + _varint_size(payload_size) + payload_size
    if message_type:
        inner += 1 + _varint_size(message_type)
    total = 1 + _varint_size(inner) + inner
    result = PyBytes_FromStringAndSize(NULL, 5 + total)
    out = PyBytes_AS_STRING(result)
    out[0] = 0
    out[1] = <char>((total >> 24) & 0xFF)
    out[2] = <char>((total >> 16) & 0xFF)
    out[3] = <char>((total >> 8) & 0xFF)
    out[4] = <char>(total & 0xFF)
    out[5] = 0x0A
    out = _put_varint(out + 6, inner)
    memcpy(out, PyBytes_AS_STRING(head), head_size)
    out += head_size
    if payload_size:
        out[0] = 0x12
        out = _put_varint(out + 1, payload_size)
        memcpy(out, payload, payload_size)
        out += payload_size
    if message_type:
        out[0] = 0x18
        out = _put_varint(out + 1, message_type)
    memcpy(out, PyBytes_AS_STRING(tail), tail_size)
    return result


def read_send(bytes message):
    """``(topic, payload, message_type)`` of a plain send, or None when it needs the Python path."""
    cdef Send send
    if not _read_send(<const unsigned char*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), &send):
        return None
    return (
        PyBytes_FromStringAndSize(send.topic, send.topic_size),
        PyBytes_FromStringAndSize(send.payload, send.payload_size) if send.payload_size else b"",
        send.message_type,
    )


def build_frame(bytes source, bytes payload, unsigned long long message_type, bytes workspace):
    """The delivered frame of a message, gRPC prefix included; equal to what protobuf would serialise."""
    return _build_frame(
        _field(0x0A, source), PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), message_type, _field(0x22, workspace)
    )


cdef bytes _field(int tag, bytes value):
    """One length-delimited field, empty for an empty value (proto3)."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef bytes result
    cdef char* out
    if size == 0:
        return b""
    result = PyBytes_FromStringAndSize(NULL, 1 + _varint_size(size) + size)
    out = PyBytes_AS_STRING(result)
    out[0] = <char>tag
    memcpy(_put_varint(out + 1, size), PyBytes_AS_STRING(value), size)
    return result


# --------------------------------------------------------------------------------------------------------- limits

cdef class TokenBucket:
    """A token bucket: ``rate`` a second, at most ``burst`` at once; a rate of 0 or less never refuses."""

    cdef public double rate
    cdef public double burst
    cdef double tokens
    cdef double updated

    def __init__(self, double rate, double burst, double now):
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.updated = now

    cpdef bint take(self, double now):
        """Take one token; False when there is none."""
        if self.rate <= 0:
            return True
        self.tokens = min(self.burst, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait_ms(self):
        """Milliseconds until the next token, at least 10."""
        return max(10, <long long>((1 - self.tokens) / self.rate * 1000) + 1) if self.rate > 0 else 0


cdef class Window:
    """A fixed one-second window of at most ``limit`` events (quota; 0 or less: no limit)."""

    cdef public double limit
    cdef public long long count
    cdef double started

    def __init__(self, double limit, double now):
        self.limit = limit
        self.count = 0
        self.started = now

    cpdef bint take(self, double now):
        if self.limit <= 0:
            return True
        if now - self.started >= 1.0:
            self.started = now
            self.count = 0
        if self.count >= self.limit:
            return False
        self.count += 1
        return True

    def wait_ms(self, double now):
        """Milliseconds until the next window, at least 10."""
        return max(10, <long long>((self.started + 1 - now) * 1000) + 1) if self.limit > 0 else 0


# ------------------------------------------------------------------------------------------------ topics and lanes

cdef class Head:
    """What all topics of one log share: positions given so far and the topics touched since the last batch.

    :ivar on_dirty: called when the first record of a batch arrives, so that the batch gets committed.
    """

    cdef public long long position
    cdef public long long staged_bytes
    cdef public list dirty
    cdef public object on_dirty

    def __init__(self, long long position=0):
        self.position = position
        self.staged_bytes = 0
        self.dirty = []
        self.on_dirty = None


cdef class Topic:
    """One topic: the records staged for the next batch of the log, and the lanes that follow it.

    :ivar last: position of the newest record ever appended; 0 for none. ``durable``: of the newest one on disk.
    :ivar staged: ``(position, frame)`` not yet taken over by a batch.
    :ivar group: competing consumers (:class:`aether.messaging.groups.Group`) instead of broadcast lanes, or None.
    :ivar on_absent: called with the sender's session and the topic's name after a message that no session follows.
    """

    cdef object __weakref__
    cdef readonly str name
    cdef public long long last
    cdef public long long durable
    cdef public list staged
    cdef public list lanes
    cdef public object group
    cdef public object on_absent
    cdef public object record_id
    cdef readonly Head head

    def __init__(self, str name, Head head, long long last=0):
        self.name = name
        self.head = head
        self.last = last
        self.durable = last
        self.staged = []
        self.lanes = []
        self.group = None
        self.on_absent = None
        self.record_id = None

    cpdef long long append(self, bytes frame):
        """Give the record its position and stage it; nothing is delivered."""
        cdef Head head = self.head
        cdef long long position = head.position + 1
        head.position = position
        if not self.staged:
            head.dirty.append(self)
            if len(head.dirty) == 1 and head.on_dirty is not None:
                head.on_dirty()
        self.staged.append((position, frame))
        head.staged_bytes += PyBytes_GET_SIZE(frame)
        self.last = position
        return position

    def take(self):
        """Hand over the staged records: as they are, and packed for storage (see :func:`unpack`)."""
        cdef list records = self.staged
        cdef tuple record
        cdef bytes frame, packed
        cdef Py_ssize_t size = 0, length
        cdef long long position
        cdef unsigned int length32
        cdef char* out
        self.staged = []
        for record in records:
            size += 12 + PyBytes_GET_SIZE(record[1])
        packed = PyBytes_FromStringAndSize(NULL, size)
        out = PyBytes_AS_STRING(packed)
        for record in records:
            position = record[0]
            frame = record[1]
            length = PyBytes_GET_SIZE(frame)
            length32 = <unsigned int>length
            memcpy(out, &position, 8)
            memcpy(out + 8, &length32, 4)
            memcpy(out + 12, PyBytes_AS_STRING(frame), length)
            out += 12 + length
        return records, packed

    cpdef long long publish(self, bytes frame):
        """Append and hand to every lane that is at the tail; lanes without room fall back to the log."""
        cdef long long position = self.append(frame)
        cdef Lane lane
        for lane in self.lanes:
            if lane.live and not lane.deliver(position, frame):
                lane.live = False
                lane.port.outbound.on_lane_behind(lane)
        if self.group is not None:
            self.group.offer(position, frame)
        return position

    cpdef bint is_followed(self):
        """Whether the lane of a session is here, live or behind; one without a port only listens."""
        cdef Lane lane
        for lane in self.lanes:
            if lane.port is not None:
                return True
        return False


def unpack(bytes packed):
    """The ``(position, frame)`` records of a packed run: 64-bit position, 32-bit length, frame (native byte order).

    :raises ValueError: the run is cut short.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(packed), offset = 0
    cdef const char* data = PyBytes_AS_STRING(packed)
    cdef long long position
    cdef unsigned int length
    cdef list records = []
    while offset < size:
        if size - offset < 12:
            raise ValueError("a packed run of records is cut short")
        memcpy(&position, data + offset, 8)
        memcpy(&length, data + offset + 8, 4)
        offset += 12
        if length > size - offset:
            raise ValueError("a packed run of records is cut short")
        records.append((position, PyBytes_FromStringAndSize(data + offset, length)))
        offset += length
    return records


cdef class Lane:
    """One session's cursor on one topic.

    ``sent`` is the last position handed to the session's stream.  While ``live`` the publisher feeds the lane; a lane
    without room turns that off and its session reads the log from ``sent``, joining the tail again when
    ``sent == topic.last``.  Both steps are synchronous, so nothing falls between them.

    :ivar accepts: predicate on a frame, or None; a refused frame only moves the cursor.
    :ivar consumer: owner of the committed cursor; ``commit`` writes it and is None for a lane that keeps none.
    """

    cdef readonly Topic topic
    cdef readonly Port port
    cdef readonly str consumer
    cdef public long long sent
    cdef public bint live
    cdef public bint dirty
    cdef readonly object accepts
    cdef object commit

    def __init__(self, Topic topic, Port port, long long sent, str consumer="", commit=None, accepts=None):
        self.topic = topic
        self.port = port
        self.sent = sent
        self.consumer = consumer
        self.commit = commit
        self.accepts = accepts
        self.live = False
        self.dirty = False

    cpdef bint deliver(self, long long position, bytes frame):
        """Hand one frame to the session's stream; False, and nothing changed, when it has no room."""
        cdef Port port = self.port
        if self.accepts is None or self.accepts(frame):
            if port.call.pending >= port.high_water:
                return False
            port.call.send(frame)
            port.delivered += 1
        self.sent = position
        if not self.dirty and self.commit is not None:
            self.dirty = True
            port.touch(self)
        return True

    def mark(self):
        """How far the stream was fed; given back to :meth:`confirm` once the peer's transport has it."""
        return self.sent

    def confirm(self, long long mark):
        """Commit the cursor; nothing happens after :meth:`detach`, when a successor may own it."""
        if self.commit is not None:
            self.commit(self.topic.name, self.consumer, mark)

    def attach(self):
        """Join the topic; live at once when nothing is waiting in the log."""
        self.topic.lanes.append(self)
        self.live = self.sent >= self.topic.last
        if not self.live:
            self.port.outbound.on_lane_behind(self)

    @property
    def keeps_cursor(self):
        """Whether the place is remembered when the session is over."""
        return self.commit is not None

    def leave(self):
        """Leave the topic; what was handed over may still be confirmed, and the lane be attached again; idempotent."""
        self.live = False
        if self in self.topic.lanes:
            self.topic.lanes.remove(self)

    def detach(self):
        """Leave the topic and give up the cursor; idempotent."""
        self.commit = None
        self.leave()


cdef class Edge:
    """Counts the messages of one sender to one topic.

    :ivar expired: the counter is no longer read; a route that has it is decided anew.
    """

    cdef public long long count
    cdef public bint expired


cdef class Route:
    """A decision this session may reuse: the topic, and the ready-made parts of the delivered frame.

    :ivar edge: counts what is sent along this route.
    """

    cdef readonly Topic topic
    cdef readonly Edge edge
    cdef readonly bytes head
    cdef readonly bytes tail

    def __init__(self, Topic topic, bytes source, bytes workspace, Edge edge=None):
        self.topic = topic
        self.edge = Edge() if edge is None else edge
        self.head = _field(0x0A, source)
        self.tail = _field(0x22, workspace)

    def frame(self, bytes payload, unsigned long long message_type):
        """The delivered frame of one message."""
        return _build_frame(self.head, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), message_type, self.tail)


cdef class Port:
    """One session's end of the message path.

    :ivar call: the RPC (``send``, ``pending``).
    :ivar session: the sender of what comes in.
    :ivar inbound: takes what is not forwarded here (``on_message``, ``on_limited``, ``on_batch_end``).
    :ivar outbound: hears of lanes without room (``on_lane_behind``).
    :ivar held: messages waiting because an earlier one is still being handled; order is kept.
    :ivar dirty_lanes: lanes whose cursor moved since the last sweep; ``on_dirty(port)`` is called for the first.
    :ivar routes: topic bytes -> :class:`Route`; bounded by whoever fills it, cleared when a decision may have changed.
    :ivar shortcuts: to values, see :mod:`aether.kv._shortcuts`; None until there are some, dropped like the routes.
    :ivar delivered: messages handed to the stream, ``replayed`` of them out of the log; whoever reads them sets them to 0.
    """

    cdef readonly object call
    cdef readonly object session
    cdef public object inbound
    cdef public object outbound
    cdef public dict routes
    cdef public object shortcuts
    cdef public list held
    cdef public bint busy
    cdef public Py_ssize_t high_water
    cdef public Py_ssize_t payload_max
    cdef public TokenBucket bucket
    cdef public TokenBucket workspace_bucket
    cdef public Window quota
    cdef public bint limited
    cdef public bint published
    cdef public list dirty_lanes
    cdef readonly object on_dirty
    cdef public object clock
    cdef public long long delivered
    cdef public long long replayed
    cdef long long[8] counts
    cdef long long payload_bytes

    def __init__(self, call, session, on_dirty, clock, Py_ssize_t high_water=256 * 1024,
                 Py_ssize_t payload_max=1 << 20):
        self.call = call
        self.session = session
        self.inbound = None
        self.outbound = None
        self.routes = {}
        self.shortcuts = None
        self.held = []
        self.busy = True
        self.high_water = high_water
        self.payload_max = payload_max
        self.bucket = None
        self.workspace_bucket = None
        self.quota = None
        self.limited = False
        self.published = False
        self.dirty_lanes = []
        self.on_dirty = on_dirty
        self.clock = clock
        self.delivered = 0
        self.replayed = 0
        self.counts = [0, 0, 0, 0, 0, 0, 0, 0]
        self.payload_bytes = 0

    def forget(self):
        """Something changed that routes and shortcuts were decided by."""
        self.routes.clear()
        self.shortcuts = None

    cpdef void routed(self, unsigned long long message_type, Py_ssize_t size) noexcept:
        """Count one accepted message; types beyond the known ones share a counter."""
        self.counts[message_type if message_type < 7 else 7] += 1
        self.payload_bytes += size

    def take_counts(self):
        """``(messages by type, payload bytes)`` since the last call; type 7 stands for all unknown ones."""
        cdef int kind
        taken = ([self.counts[kind] for kind in range(8)], self.payload_bytes)
        for kind in range(8):
            self.counts[kind] = 0
        self.payload_bytes = 0
        return taken

    def touch(self, lane):
        """Note that a lane (or group membership) was fed, for the next sweep of confirmations."""
        if not self.dirty_lanes:
            self.on_dirty(self)
        self.dirty_lanes.append(lane)

    def on_messages(self, list batch):
        """Sink of the RPC: every message of one read, in order."""
        cdef bytes message
        for message in batch:
            if self.busy:
                self.held.append(message)
            elif not self._forward(message) and (self.shortcuts is None or not self.shortcuts.take(message)):
                self.inbound.on_message(message)
        self.inbound.on_batch_end()

    cdef bint _forward(self, bytes message) except -1:
        """Route a plain send along a known route; False when the Python path has to look at it."""
        cdef Send send
        cdef Route route
        cdef int refused
        if not _read_send(<const unsigned char*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message), &send):
            return False
        route = <Route>self.routes.get(PyBytes_FromStringAndSize(send.topic, send.topic_size))
        if route is None or send.payload_size > self.payload_max or send.message_type == 5 or route.edge.expired:
            return False
        if self.limited:
            refused = self.admit()
            if refused:
                self.inbound.on_limited(refused)
                return True
        self.routed(send.message_type, send.payload_size)
        route.edge.count += 1
        route.topic.publish(
            _build_frame(route.head, send.payload, send.payload_size, send.message_type, route.tail)
        )
        self.published = True
        if route.topic.on_absent is not None and not route.topic.is_followed():
            route.topic.on_absent(self.session, route.topic.name)
        return True

    cpdef int admit(self) except -1:
        """Spend one unit of every limit of a send, in order; 0, or the number of the one that refused (routing 3.2).

        1: the session's own bucket, 2: the workspace's, 3: the identity's quota.
        """
        cdef double now = self.clock()
        if self.bucket is not None and not self.bucket.take(now):
            return 1
        if self.workspace_bucket is not None and not self.workspace_bucket.take(now):
            return 2
        if self.quota is not None and not self.quota.take(now):
            return 3
        return 0


# -------------------------------------------------------------------------------------------------------- counters

BOUNDS_S = tuple([0.0001 * 2**bucket for bucket in range(BUCKETS - 1)])


cdef class Durations:
    """How long operations took: counts by buckets whose bounds double, the last without one, and seconds in all."""

    bounds = BOUNDS_S

    @property
    def counts(self):
        return [self._counts[bucket] for bucket in range(BUCKETS)]

    cpdef void observe(self, double seconds) noexcept:
        cdef int bucket = 0
        cdef double bound = 0.0001
        while bucket < BUCKETS - 1 and seconds > bound:
            bucket += 1
            bound *= 2
        self._counts[bucket] += 1
        self.seconds += seconds


cdef class Tally:
    """A count."""


# ---------------------------------------------------------------------------------------------------- access rules

cdef long long NEVER_MS = 4611686018427387904  # 1 << 62
cdef Py_ssize_t REMEMBERED_CHARACTERS_MAX = 1024  # of a question: clients choose its texts


cdef class _Rule:
    """A rule as the table keeps it."""

    cdef readonly object rule
    cdef int level
    cdef long long expires_ms

    def __init__(self, rule, int level, long long expires_ms):
        self.rule = rule
        self.level = level
        self.expires_ms = expires_ms


cdef class _Pattern(_Rule):
    """A rule whose subject or object is a pattern; a literal side has no matcher."""

    cdef object subject_matches
    cdef object object_matches

    def __init__(self, rule, int level, long long expires_ms, subject_matches, object_matches):
        super().__init__(rule, level, expires_ms)
        self.subject_matches = subject_matches
        self.object_matches = object_matches


cdef inline bint _better(_Rule rule, _Rule best, long long now_ms) noexcept:
    return (not rule.expires_ms or now_ms < rule.expires_ms) and (best is None or rule.level > best.level)


cdef class RuleTable:
    """Access rules, indexed so that a decision takes the same time with ten rules and with a hundred thousand.

    Subjects and objects are strings such as ``user:alice`` and ``workspace:prod``. Literal rules are found by their
    object and subject. Patterns are filed under the literal beginnings of both sides, and a question looks only at the
    beginnings that exist; of those there are few, since a pattern over identities starts with whole segments.

    :param clock: current Unix time in milliseconds.
    :param decide: makes a decision that is not remembered: the question and the time, to the decision and until when
        it holds if no rule changes (``1 << 62`` where none ends by itself).
    :param decisions_max: decisions that are remembered; one more forgets them all.
    """

    cdef object _clock
    cdef object _decide
    cdef dict _exact
    cdef dict _patterns
    cdef dict _decisions
    cdef long long _until_ms
    cdef Py_ssize_t _decisions_max

    def __init__(self, clock, decide, Py_ssize_t decisions_max=65536):
        self._clock = clock
        self._decide = decide
        self._exact = {}
        self._patterns = {}
        self._decisions = {}
        self._until_ms = NEVER_MS
        self._decisions_max = decisions_max

    # ------------------------------------------------------------------------------------------------- changes

    def add(self, rule, str subject, str object_, int level, long long expires_ms):
        """File a literal rule; replaces that of the same subject and object."""
        (<dict>self._exact.setdefault(object_, {}))[subject] = _Rule(rule, level, expires_ms)

    def remove(self, str subject, str object_):
        cdef dict subjects = self._exact[object_]
        del subjects[subject]
        if not subjects:
            del self._exact[object_]

    def add_pattern(self, rule, str rule_id, str subject, str object_, int level, long long expires_ms,
                    subject_matches, object_matches):
        """File a rule by the literal beginnings of its sides; ``subject_matches`` and ``object_matches`` are None for
        a side that is literal as a whole."""
        cdef tuple kinds = _kinds(subject, object_)
        cdef tuple shape = (len(subject), len(object_))
        cdef dict shapes = self._patterns.setdefault(kinds, {})
        cdef dict filed = shapes.setdefault(shape, {})
        (<dict>filed.setdefault((subject, object_), {}))[rule_id] = _Pattern(
            rule, level, expires_ms, subject_matches, object_matches
        )

    def remove_pattern(self, str rule_id, str subject, str object_):
        cdef tuple kinds = _kinds(subject, object_)
        cdef tuple shape = (len(subject), len(object_))
        cdef dict shapes = self._patterns[kinds]
        cdef dict filed = shapes[shape]
        del filed[(subject, object_)][rule_id]
        if not filed[(subject, object_)]:
            del filed[(subject, object_)]
        if not filed:
            del shapes[shape]
        if not shapes:
            del self._patterns[kinds]

    # ----------------------------------------------------------------------------------------------- decisions

    def find(self, tuple subjects, str wildcard, str object_, str any_object, long long now_ms,
             bint wildcard_patterns=False):
        """The rule that decides (acl 5.1): ``(rule, tier, subject)`` of the first tier with a live match, or None.

        :param subjects: the actor, then its groups and roles.
        :param wildcard: the subject for everybody of the actor's type; may be empty.
        :param any_object: the object that stands for all resources of the type.
        :param wildcard_patterns: let the wildcard subject take part in the pattern tier.
        """
        cdef dict by_subject
        cdef _Rule rule, best = None
        cdef str subject, winner = ""
        cdef int tier = 1
        cdef str asked = object_
        while True:
            by_subject = <dict>self._exact.get(asked)
            if by_subject is not None:
                for subject in subjects:
                    rule = <_Rule>by_subject.get(subject)
                    if rule is not None and _better(rule, best, now_ms):
                        best, winner = rule, subject
                if best is not None:
                    return best.rule, tier, winner
                rule = <_Rule>by_subject.get(wildcard)
                if rule is not None and _better(rule, best, now_ms):
                    return rule.rule, tier + 1, wildcard
            if tier == 3 or asked == any_object:
                break
            tier, asked = 3, any_object
        for subject in subjects:
            rule = self._find_pattern(subject, object_, best, now_ms)
            if rule is not best:
                best, winner = rule, subject
        if wildcard_patterns and wildcard:
            rule = self._find_pattern(wildcard, object_, best, now_ms)
            if rule is not best:
                best, winner = rule, wildcard
        return None if best is None else (best.rule, 5, winner)

    cdef _Rule _find_pattern(self, str subject, str object_, _Rule best, long long now_ms):
        """The best pattern rule for one subject, at least as good as ``best``."""
        cdef dict shapes = <dict>self._patterns.get(_kinds(subject, object_))
        cdef dict filed, rules
        cdef _Pattern rule
        if shapes is None:
            return best
        for (subject_size, object_size), filed in shapes.items():
            rules = <dict>filed.get((subject[:subject_size], object_[:object_size]))
            if rules is None:
                continue
            for rule in rules.values():
                if not _better(rule, best, now_ms):
                    continue
                if rule.subject_matches is None:
                    if len(subject) != subject_size:
                        continue
                elif not rule.subject_matches(subject):
                    continue
                if rule.object_matches is None:
                    if len(object_) != object_size:
                        continue
                elif not rule.object_matches(object_):
                    continue
                best = rule
        return best

    def evaluate(self, str principal_type, str principal_id, str resource_type, str resource_id, int level):
        """The decision on a question, remembered until a rule changes (:meth:`forget`) or the first one ends."""
        cdef tuple question = (principal_type, principal_id, resource_type, resource_id, level)
        cdef object decision = self._decisions.get(question)
        if decision is not None and self._until_ms == NEVER_MS:
            return decision
        cdef long long now_ms = self._clock()
        cdef long long until_ms
        if now_ms >= self._until_ms:
            self.forget()
        elif decision is not None:
            return decision
        decision, until_ms = self._decide(*question, now_ms)
        if len(self._decisions) >= self._decisions_max:
            self.forget()
        self._until_ms = min(self._until_ms, until_ms)
        if len(principal_id) + len(resource_type) + len(resource_id) <= REMEMBERED_CHARACTERS_MAX:
            self._decisions[question] = decision
        return decision

    def forget(self):
        """Rules changed: decide anew."""
        self._decisions.clear()
        self._until_ms = NEVER_MS


cdef tuple _kinds(str subject, str object_):
    """``user`` and ``workspace`` of ``user:alice`` and ``workspace:prod``."""
    return subject[:subject.index(":")], object_[:object_.index(":")]
