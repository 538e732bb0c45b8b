# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""HTTP/2 and gRPC framing without I/O: bytes in, batches of messages out; frames in, bytes out.

Theory of operation
-------------------
A `Connection` wraps one nghttp2 session. `receive_data` feeds bytes to nghttp2, whose callbacks cut gRPC messages out
of the DATA payloads and append *events* to a list; no user code runs inside a callback. All messages of a stream found
in one call become one event. `data_to_send` asks nghttp2 for frames and joins them; DATA payloads are copied once, from
the queued frames (references to the `bytes` that the producer made, shared by all receivers of a fan-out) into the
output.

Sending is two steps, because "left us" and "the kernel took it" differ: what `data_to_send` returned counts as `sent`
only after `acknowledge_sent`. Received data returns flow-control window at once, unless the stream is on `hold`.

Rules of this file:
* nghttp2 keeps borrowed pointers to `Stream` objects; `Connection._streams` owns them until nghttp2 closes the stream.
* A callback never raises: `_guard` remembers the exception, nghttp2 stops, `receive_data`/`data_to_send` raise it.
* What the peer does wrong is never an exception: it ends as RST_STREAM or as GOAWAY (`terminating` becomes true).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, int64_t
from libc.string cimport memcpy

from libc.errno cimport EAGAIN, EINTR, errno

from aether.rpc._nghttp2 cimport *
from aether.rpc.status import RpcError, StatusCode

cdef enum:
    MAX_CONTINUATIONS = 8
    MAX_OUTBOUND_ITEMS = 10000
    BODY_STEP = 65536


cdef extern from "sys/socket.h" nogil:
    ssize_t c_recv "recv"(int, void *, size_t, int)
    ssize_t c_send "send"(int, const void *, size_t, int)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "Python.h":
    object PyErr_SetFromErrno(object)
    int _PyBytes_Resize(PyObject **bytes, Py_ssize_t newsize) except -1
    PyObject *RawBytes "PyBytes_FromStringAndSize"(const char *v, Py_ssize_t size)

# Event kinds: first item of the tuples that `receive_data` returns.
REQUEST = 1      # (REQUEST, stream, [(name, value), ...])      server: a new stream
HEADERS = 2      # (HEADERS, stream, [(name, value), ...])      client: response headers
MESSAGES = 3     # (MESSAGES, stream, [bytes, ...])             complete messages without their prefix
HALF_CLOSED = 4  # (HALF_CLOSED, stream, trailers or None)      the peer ended its side
RESET = 5        # (RESET, stream, error code)                  the stream died before its regular end
CLOSED = 6       # (CLOSED, stream, None)                       the stream ended regularly
INVALID = 7      # (INVALID, stream, RpcError)                  the peer broke a gRPC rule; its further data is dropped
CONFIRMED = 8    # (CONFIRMED, None, [callback, ...])           a PING that followed the data was answered
GOAWAY = 9       # (GOAWAY, None, (code, last stream, debug))

NO_ERROR = H2_NO_ERROR
PROTOCOL_ERROR = H2_PROTOCOL_ERROR
INTERNAL_ERROR = H2_INTERNAL_ERROR
REFUSED_STREAM = H2_REFUSED_STREAM
CANCEL = H2_CANCEL
ENHANCE_YOUR_CALM = H2_ENHANCE_YOUR_CALM

cdef int _MESSAGES = 3
cdef double FAR_PAST = -1e300

# One output buffer for all connections: `data_to_send` fills and empties it without giving up control.
cdef uint8_t *scratch = NULL
cdef size_t scratch_capacity = 0
cdef size_t scratch_length = 0


# And one input buffer: parsed before anything else is received.
cdef enum:
    RECEIVE_SIZE = 262144
cdef uint8_t *received = NULL


cdef int scratch_reserve(size_t more) except -1:
    global scratch, scratch_capacity
    cdef size_t need = scratch_length + more
    cdef size_t capacity
    cdef void *grown
    if need <= scratch_capacity:
        return 0
    capacity = max(need, scratch_capacity * 2, <size_t>(320 * 1024))
    grown = PyMem_Realloc(scratch, capacity)
    if grown == NULL:
        raise MemoryError
    scratch = <uint8_t *>grown
    scratch_capacity = capacity
    return 0


cdef class Stream:
    """One RPC on a connection: the queue of outgoing frames and the message that is being received.

    Subclass it to hold what the application knows of the call; `Connection` creates server streams with its
    `stream_type()`.
    """

    cdef Connection _connection
    cdef readonly int id
    cdef readonly bint half_closed  # the peer ended its side
    cdef readonly bint closed       # gone: nothing can be sent any more
    cdef readonly bint invalid      # the peer broke a gRPC rule; its data is dropped
    cdef readonly bint ended        # we ended our side (perhaps not sent yet)
    cdef readonly bint finished     # our end left data_to_send
    cdef readonly uint64_t queued   # bytes of frames ever queued
    cdef readonly uint64_t sent     # bytes of frames accepted by the transport
    cdef public bint waiters        # true: `on_progress()` is called when `sent` grew
    cdef uint64_t _extracted
    cdef bint _touched
    cdef bint _announced
    cdef bint _deferred
    cdef bint _has_headers
    cdef list _trailers
    # outgoing frames: a ring of owned references, the head partly sent
    cdef PyObject **_ring
    cdef size_t _capacity
    cdef size_t _head
    cdef size_t _count
    cdef size_t _offset
    # incoming message
    cdef list _headers
    cdef size_t _headers_size
    cdef list _batch
    cdef bint _hold
    cdef size_t _unconsumed
    cdef uint8_t _prefix[5]
    cdef int _prefix_length
    cdef PyObject *_body
    cdef size_t _body_capacity
    cdef size_t _body_have
    cdef size_t _body_need

    def __dealloc__(self):
        self._drop_queue()
        if self._ring != NULL:
            PyMem_Free(self._ring)
            self._ring = NULL
        if self._body != NULL:
            Py_XDECREF(self._body)
            self._body = NULL

    cdef void _drop_queue(self) noexcept:
        cdef PyObject *item
        while self._count:
            item = self._ring[self._head]
            self._head = (self._head + 1) & (self._capacity - 1)
            self._count -= 1
            Py_DECREF(<object>item)
        self._offset = 0

    cdef int _grow(self) except -1:
        cdef size_t capacity = self._capacity * 2 if self._capacity else 8
        cdef size_t i
        cdef PyObject **ring = <PyObject **>PyMem_Malloc(capacity * sizeof(PyObject *))
        if ring == NULL:
            raise MemoryError
        for i in range(self._count):
            ring[i] = self._ring[(self._head + i) & (self._capacity - 1)]
        PyMem_Free(self._ring)
        self._ring = ring
        self._capacity = capacity
        self._head = 0
        return 0

    @property
    def pending(self):
        """Bytes of queued frames that the transport has not accepted yet; 0 when the stream is closed."""
        return self.queued - self.sent

    @property
    def connection(self):
        return self._connection

    def on_progress(self):
        """Called by `acknowledge_sent` when `sent` grew and `waiters` is true."""

    cpdef int send(self, bytes frame) except -1:
        """Queue one gRPC frame (with its prefix). Dropped when the stream is closed or we ended it.

        Raises RpcError(RESOURCE_EXHAUSTED) for a frame over `max_send_message`.
        """
        cdef Connection connection = self._connection
        cdef Py_ssize_t size
        if frame is None:
            raise TypeError("a frame is bytes")
        if self.closed or self.ended or connection is None:
            return 0
        size = PyBytes_GET_SIZE(frame)
        if <size_t>size > connection._max_send:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "message too large to send")
        if size == 0:
            return 0
        if self._count == self._capacity:
            self._grow()
        Py_INCREF(frame)
        self._ring[(self._head + self._count) & (self._capacity - 1)] = <PyObject *>frame
        self._count += 1
        self.queued += <uint64_t>size
        if not self._has_headers:
            connection._respond(self)
        elif self._deferred:
            self._deferred = False
            nghttp2_session_resume_data(connection._session, self.id)
        connection.mark_dirty()
        return 0

    def start_response(self):
        """Server: send the response headers although there is no message yet. Does nothing the second time."""
        if not self._has_headers and not self.closed and self._connection is not None:
            self._connection._respond(self)
            self._connection.mark_dirty()

    def finish(self, list trailers):
        """Server: end the RPC after what is queued, with these trailers ((name, value) bytes pairs)."""
        cdef Connection connection = self._connection
        if self.closed or self.ended or connection is None:
            return
        self.ended = True
        if not self._has_headers:
            self._has_headers = True
            connection._submit_response(self.id, connection._response_headers + trailers)
        else:
            self._trailers = trailers
            self._resume()
        connection.mark_dirty()

    def half_close(self):
        """Client: end our side after what is queued."""
        if self.closed or self.ended or self._connection is None:
            return
        self.ended = True
        self._resume()
        self._connection.mark_dirty()

    def reset(self, uint32_t code=H2_CANCEL):
        """Send RST_STREAM; what is queued is dropped."""
        if self.closed or self._connection is None:
            return
        self.ended = True
        nghttp2_submit_rst_stream(self._connection._session, 0, self.id, code)
        self._connection.mark_dirty()

    cdef void _resume(self) noexcept:
        if self._deferred:
            self._deferred = False
            nghttp2_session_resume_data(self._connection._session, self.id)

    def hold(self):
        """Stop returning flow-control window: at most one window of data arrives until `release`."""
        self._hold = True

    def release(self):
        """Return the window of everything received so far and of what follows."""
        cdef Connection connection = self._connection
        self._hold = False
        if self._unconsumed and connection is not None and not self.closed:
            nghttp2_session_consume(connection._session, self.id, self._unconsumed)
            self._unconsumed = 0
            # A WINDOW_UPDATE may be waiting now; asking nghttp2 costs more than an empty flush.
            connection.mark_dirty()

    cdef int _fail(self, code, text) except -1:
        self.invalid = True
        if self._body != NULL:
            Py_XDECREF(self._body)
            self._body = NULL
        self._connection._events.append((7, self, RpcError(code, text)))
        return 0

    cdef int _emit(self, object message) except -1:
        if self._batch is None:
            self._batch = []
            self._connection._events.append((3, self, self._batch))
        self._batch.append(message)
        return 0

    cdef int _feed(self, const uint8_t *data, size_t length) except -1:
        """Cut messages out of a piece of the stream's data."""
        cdef size_t take, need
        cdef const uint8_t *prefix
        cdef PyObject *body
        while length:
            if self._body_need:
                take = min(length, self._body_need - self._body_have)
                if self._body_have + take > self._body_capacity:
                    # Grow with what arrives, so that a length prefix alone costs the peer more than us.
                    need = min(self._body_need, max(self._body_capacity * 2, self._body_have + take))
                    _PyBytes_Resize(&self._body, need)
                    self._body_capacity = need
                memcpy(PyBytes_AS_STRING(<object>self._body) + self._body_have, data, take)
                self._body_have += take
                data += take
                length -= take
                if self._body_have == self._body_need:
                    body = self._body
                    self._body = NULL
                    self._body_need = 0
                    message = <object>body
                    Py_DECREF(message)
                    self._emit(message)
                continue
            if self._prefix_length == 0 and length >= 5:
                prefix = data
                data += 5
                length -= 5
            else:
                take = min(length, <size_t>(5 - self._prefix_length))
                memcpy(&self._prefix[self._prefix_length], data, take)
                self._prefix_length += <int>take
                data += take
                length -= take
                if self._prefix_length < 5:
                    return 0
                prefix = self._prefix
            self._prefix_length = 0
            need = (<size_t>prefix[1] << 24) | (<size_t>prefix[2] << 16) | (<size_t>prefix[3] << 8) | prefix[4]
            if prefix[0] == 1:
                return self._fail(StatusCode.UNIMPLEMENTED, "compressed messages are not supported")
            if prefix[0] != 0:
                return self._fail(StatusCode.INTERNAL, "malformed message prefix")
            if need > self._connection._max_receive:
                return self._fail(
                    StatusCode.RESOURCE_EXHAUSTED,
                    "message of %d bytes is larger than the maximum of %d" % (need, self._connection._max_receive))
            if need <= length:
                self._emit(PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>need))
                data += need
                length -= need
            else:
                self._body_capacity = min(need, max(length, <size_t>BODY_STEP))
                self._body = RawBytes(NULL, self._body_capacity)
                if self._body == NULL:
                    raise MemoryError
                self._body_need = need
                self._body_have = 0
        return 0


cdef class Connection:
    """One HTTP/2 connection. `client` chooses the side; `limits` is an `aether.rpc.limits.Limits`.

    `owner` is appended to `dirty_list` when something was queued and it is not there yet (see `dirty`).
    """

    cdef nghttp2_session *_session
    cdef readonly bint client
    cdef readonly bint ready           # the peer's SETTINGS arrived
    cdef readonly bint terminating     # a fatal GOAWAY is queued or sent: flush, then close
    cdef public bint dirty
    cdef public object owner
    cdef public list dirty_list
    cdef object _stream_type
    cdef dict _streams
    cdef list _events
    cdef list _touched
    cdef list _confirms                # callbacks that wait for the next PING
    cdef object _confirming            # callbacks of the PING in flight, None = none
    cdef object _error                 # exception caught in a callback
    cdef list _response_headers
    cdef size_t _max_receive
    cdef size_t _max_send
    cdef size_t _max_headers
    cdef double _ping_interval
    cdef double _abuse_window
    cdef int _max_strikes
    cdef int _max_resets
    cdef int _max_settings
    cdef double _now
    cdef double _last_ping
    cdef int _strikes
    cdef double _window_start
    cdef int _resets
    cdef int _settings
    cdef int _continuations
    cdef int _abort_code
    cdef bytes _abort_debug
    cdef bint _goaway_sent
    cdef bint _busy                    # inside nghttp2: no second call may enter
    cdef size_t _limit                 # of the output being made

    def __cinit__(self, bint client, limits, *, stream_type=Stream):
        cdef nghttp2_option *option = NULL
        cdef int rc
        self.client = client
        self._stream_type = stream_type
        self._streams = {}
        self._events = []
        self._touched = []
        self._confirms = []
        self.dirty_list = []
        self._response_headers = [
            (b":status", b"200"),
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", b"identity"),
        ]
        self._max_receive = limits.max_receive_message
        self._max_send = limits.max_send_message + 5
        self._max_headers = limits.max_header_list
        self._ping_interval = limits.min_client_ping_interval
        self._abuse_window = limits.abuse_window
        self._max_strikes = limits.max_ping_strikes
        self._max_resets = limits.max_resets_per_window
        self._max_settings = limits.max_settings_per_window
        self._last_ping = FAR_PAST
        self._window_start = FAR_PAST
        self._abort_code = -1
        if nghttp2_option_new(&option) != 0:
            raise MemoryError
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_deflate_dynamic_table_size(option, 0)
        nghttp2_option_set_max_outbound_ack(option, 1000)
        if client:
            rc = nghttp2_session_client_new2(&self._session, callbacks, <void *>self, option)
        else:
            rc = nghttp2_session_server_new2(&self._session, callbacks, <void *>self, option)
        nghttp2_option_del(option)
        if rc != 0:
            raise MemoryError
        self._submit_settings(limits)

    def __dealloc__(self):
        if self._session != NULL:
            nghttp2_session_del(self._session)
            self._session = NULL

    cdef int _submit_settings(self, limits) except -1:
        cdef nghttp2_settings_entry entries[3]
        entries[0].settings_id = 4  # INITIAL_WINDOW_SIZE
        entries[0].value = limits.initial_window
        entries[1].settings_id = 6  # MAX_HEADER_LIST_SIZE
        entries[1].value = limits.max_header_list
        if self.client:
            entries[2].settings_id = 2  # ENABLE_PUSH
            entries[2].value = 0
        else:
            entries[2].settings_id = 3  # MAX_CONCURRENT_STREAMS
            entries[2].value = limits.max_concurrent_streams
        if nghttp2_submit_settings(self._session, 0, entries, 3) != 0:
            raise MemoryError
        if nghttp2_session_set_local_window_size(self._session, 0, 0, limits.initial_window_connection) != 0:
            raise MemoryError
        self.dirty = True  # the owner flushes once at the start
        return 0

    cdef inline void mark_dirty(self):
        if not self.dirty and self._session != NULL:
            self.dirty = True
            self.dirty_list.append(self.owner)

    # ---- receiving

    def receive_data(self, bytes data, double now):
        """Parse what the transport received at time `now` (seconds); returns a list of events."""
        return self._receive(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), now)

    def receive_from(self, int fd, double now):
        """One non-blocking recv on a socket, parsed like `receive_data`.

        None at the end of the stream; raises OSError.
        """
        global received
        cdef ssize_t length
        if received == NULL:
            received = <uint8_t *>PyMem_Malloc(RECEIVE_SIZE)
            if received == NULL:
                raise MemoryError
        # The GIL stays held: the call does not block, and giving the GIL up lets a busy thread take it for
        # milliseconds.
        length = c_recv(fd, received, RECEIVE_SIZE, MSG_DONTWAIT)
        if length == 0:
            return None
        if length < 0:
            if errno == EAGAIN or errno == EINTR:
                return []
            PyErr_SetFromErrno(OSError)
        return self._receive(received, <size_t>length, now)

    cdef list _receive(self, const uint8_t *data, size_t length, double now):
        cdef ssize_t rc
        if self._session == NULL or self.terminating:
            return self.take_events()
        if self._busy:
            raise RuntimeError("receive_data is not reentrant")
        self._now = now
        self._busy = True
        rc = nghttp2_session_mem_recv(self._session, data, length)
        self._busy = False
        if self._error is not None:
            error, self._error = self._error, None
            self.terminate(H2_INTERNAL_ERROR, b"")
            raise error
        if self._abort_code >= 0:
            self.terminate(<uint32_t>self._abort_code, self._abort_debug)
        elif rc < 0:
            # Otherwise a flood of acknowledgements or CONTINUATIONs, depending on the library's version.
            self.terminate(H2_PROTOCOL_ERROR if rc == ERR_BAD_CLIENT_MAGIC else H2_ENHANCE_YOUR_CALM, b"")
        elif not nghttp2_session_want_read(self._session):
            self.terminating = True  # the peer said goodbye and nothing is open
        elif nghttp2_session_get_outbound_queue_size(self._session) > MAX_OUTBOUND_ITEMS:
            self.terminate(H2_ENHANCE_YOUR_CALM, b"too_many_control_frames")
        if not self.dirty and nghttp2_session_want_write(self._session):
            self.mark_dirty()
        return self.take_events()

    cpdef list take_events(self):
        """Events since the last call. `data_to_send` can add RESET and CLOSED events."""
        cdef list events = self._events
        cdef tuple event
        if events:
            self._events = []
            for event in events:
                if <int>event[0] == 3:
                    (<Stream>event[1])._batch = None
        return events

    @property
    def has_events(self):
        return len(self._events) != 0

    # ---- sending

    def data_to_send(self, size_t limit=262144):
        """Serialise queued frames, stopping once `limit` bytes are reached; b"" when there is nothing.

        Call `acknowledge_sent` when the transport accepted all of it, before the next call.
        """
        if self._fill(limit) == 0:
            return b""
        return PyBytes_FromStringAndSize(<const char *>scratch, <Py_ssize_t>scratch_length)

    def send_to(self, int fd, size_t limit=262144):
        """Serialise and send on a non-blocking socket until all is gone.

        Returns None, or the bytes that the socket did not take: send these, then call `acknowledge_sent`. Raises
        OSError.
        """
        cdef ssize_t taken
        cdef size_t length
        while True:
            length = self._fill(limit)
            if length == 0:
                return None
            taken = c_send(fd, scratch, length, MSG_DONTWAIT | MSG_NOSIGNAL)
            if taken < 0:
                if errno != EAGAIN and errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                taken = 0
            if <size_t>taken < length:
                return PyBytes_FromStringAndSize(<const char *>scratch + taken, <Py_ssize_t>length - taken)
            self.acknowledge_sent()
            if length < limit:
                return None

    cdef size_t _fill(self, size_t limit) except? 0:
        global scratch_length
        cdef const uint8_t *chunk
        cdef ssize_t length
        scratch_length = 0
        self.dirty = False
        if self._session == NULL or self._goaway_sent:
            return 0
        if self._busy:
            raise RuntimeError("data_to_send called inside a callback")
        self._busy = True
        self._limit = limit
        try:
            while scratch_length < limit and not self._goaway_sent:
                length = nghttp2_session_mem_send(self._session, &chunk)
                if length <= 0:
                    if length < 0:
                        self._goaway_sent = True  # out of memory or our own callback failed: nothing more can be sent
                        self.terminating = True
                    break
                scratch_reserve(<size_t>length)
                memcpy(scratch + scratch_length, chunk, <size_t>length)
                scratch_length += <size_t>length
        finally:
            self._busy = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if not self.terminating and not nghttp2_session_want_read(self._session):
            self.terminating = True  # nghttp2 found a protocol error: its GOAWAY is in this output
            self._goaway_sent = True
        return scratch_length

    cpdef acknowledge_sent(self):
        """The transport accepted everything that `data_to_send` returned."""
        cdef list touched = self._touched
        cdef Stream stream
        if not touched:
            return
        self._touched = []
        for item in touched:
            stream = <Stream>item
            stream._touched = False
            if not stream.closed:
                stream.sent = stream._extracted
            if stream.waiters:
                stream.on_progress()

    cdef int _respond(self, Stream stream) except -1:
        """Queue response headers with a data provider that reads the stream's queue."""
        cdef nghttp2_data_provider provider
        cdef nghttp2_nv nva[3]
        cdef int i
        cdef bytes name, value
        stream._has_headers = True
        provider.source.ptr = <void *>stream
        provider.read_callback = on_read
        for i in range(3):
            name = self._response_headers[i][0]
            value = self._response_headers[i][1]
            set_nv(&nva[i], name, value)
        if nghttp2_submit_response(self._session, stream.id, nva, 3, &provider) != 0:
            raise MemoryError
        return 0

    cdef int _submit_response(self, int stream_id, list headers) except -1:
        """Response without data: the headers end the stream."""
        cdef nghttp2_nv *nva = make_nva(headers)
        cdef int rc
        try:
            rc = nghttp2_submit_response(self._session, stream_id, nva, len(headers), NULL)
        finally:
            PyMem_Free(nva)
        if rc != 0:
            raise MemoryError
        return 0

    def request(self, Stream stream not None, list headers):
        """Client: open `stream` with these headers ((name, value) bytes pairs, pseudo headers first)."""
        cdef nghttp2_nv *nva
        cdef nghttp2_data_provider provider
        cdef int32_t stream_id
        if self._session == NULL or self.terminating:
            raise RpcError(StatusCode.UNAVAILABLE, "connection closed")
        nva = make_nva(headers)
        provider.source.ptr = <void *>stream
        provider.read_callback = on_read
        try:
            stream_id = nghttp2_submit_request(self._session, NULL, nva, len(headers), &provider, <void *>stream)
        finally:
            PyMem_Free(nva)
        if stream_id < 0:
            raise RpcError(StatusCode.UNAVAILABLE, "no more streams on this connection")
        stream._connection = self
        stream.id = stream_id
        stream._has_headers = True
        stream._announced = True
        self._streams[stream_id] = stream
        self.mark_dirty()

    def ping(self):
        """Send a PING; its answer shows as received bytes only."""
        if self._session != NULL:
            nghttp2_submit_ping(self._session, 0, <const uint8_t *>b"keepaliv")
            self.mark_dirty()

    def confirm(self, callback):
        """`callback` goes into a CONFIRMED event once the peer answered a PING that follows everything serialised so
        far.
        """
        if self._session != NULL:
            self._confirms.append(callback)
            if self._confirming is None:
                self._ping_confirms()

    cdef int _ping_confirms(self) except -1:
        self._confirming = self._confirms
        self._confirms = []
        nghttp2_submit_ping(self._session, 0, <const uint8_t *>b"confirm.")
        self.mark_dirty()
        return 0

    def shutdown_notice(self):
        """Server: GOAWAY that refuses nothing yet but asks the client to go elsewhere for new calls."""
        if self._session != NULL and not self.client:
            nghttp2_submit_shutdown_notice(self._session)
            self.mark_dirty()

    cpdef terminate(self, uint32_t code, bytes debug=b""):
        """Queue a final GOAWAY; nothing is sent after it and nothing received is looked at."""
        cdef int32_t last
        if self._session == NULL or self.terminating:
            return
        self.terminating = True
        last = 0 if self.client else nghttp2_session_get_last_proc_stream_id(self._session)
        nghttp2_submit_goaway(
            self._session, 0, last, code, <const uint8_t *>PyBytes_AS_STRING(debug), PyBytes_GET_SIZE(debug))
        self.mark_dirty()

    # ---- state

    @property
    def streams(self):
        """Live streams, as a new list."""
        return list(self._streams.values())

    @property
    def stream_count(self):
        return len(self._streams)

    @property
    def request_allowed(self):
        """Client: whether a new stream may be opened (no GOAWAY seen)."""
        if self._session == NULL or self.terminating:
            return False
        return nghttp2_session_check_request_allowed(self._session) != 0

    def close(self):
        """Free the session; live streams become closed. Further calls do nothing."""
        cdef Stream stream
        if self._session == NULL:
            return
        if self._busy:
            raise RuntimeError("close called inside a callback")
        self.terminating = True
        for item in list(self._streams.values()):
            stream = <Stream>item
            self._stream_gone(stream)
        self._streams.clear()
        self._confirms.clear()
        self._confirming = None
        nghttp2_session_del(self._session)
        self._session = NULL

    cdef int _stream_gone(self, Stream stream) except -1:
        stream.closed = True
        stream._drop_queue()
        stream.queued = stream.sent
        stream._extracted = stream.sent
        if stream._unconsumed:
            nghttp2_session_consume_connection(self._session, stream._unconsumed)
            stream._unconsumed = 0
        return 0

    cdef int _close_stream(self, int32_t stream_id, uint32_t code) except -1:
        cdef Stream stream
        item = self._streams.pop(stream_id, None)
        if item is None:
            return 0
        stream = <Stream>item
        self._stream_gone(stream)
        if not stream._announced:
            return 0
        if (stream.half_closed if self.client else stream.finished):
            self._events.append((6, stream, None))
        else:
            self._events.append((5, stream, code))
        return 0

    cdef int _abort(self, uint32_t code, bytes debug) noexcept:
        self._abort_code = <int>code
        self._abort_debug = debug
        return ERR_CALLBACK_FAILURE

    cdef inline bint _new_window(self) noexcept:
        if self._now - self._window_start > self._abuse_window:
            self._window_start = self._now
            self._resets = 0
            self._settings = 0
        return True

    cdef int _on_ping(self) except -1000:
        if self.client:
            return 0
        if self._now - self._last_ping < self._ping_interval:
            self._strikes += 1
            if self._strikes > self._max_strikes:
                return self._abort(H2_ENHANCE_YOUR_CALM, b"too_many_pings")
        self._last_ping = self._now
        return 0

    cdef int _frame_received(self, const nghttp2_frame *frame) except -1000:
        cdef Stream stream
        cdef int kind = frame.hd.type
        cdef void *data
        if kind == FRAME_DATA or kind == FRAME_HEADERS:
            data = nghttp2_session_get_stream_user_data(self._session, frame.hd.stream_id)
            if data == NULL:
                return 0
            stream = <Stream>data
            if kind == FRAME_HEADERS:
                return self._headers_received(stream, frame)
            if frame.hd.flags & FLAG_END_STREAM:
                self._end_received(stream, None)
        elif kind == FRAME_PING:
            if not frame.hd.flags & FLAG_ACK:
                return self._on_ping()
            if self._confirming is not None and frame.ping.opaque_data[0] == c"c":
                self._events.append((8, None, self._confirming))
                self._confirming = None
                if self._confirms:
                    self._ping_confirms()
        elif kind == FRAME_SETTINGS:
            if not frame.hd.flags & FLAG_ACK:
                self.ready = True
                self._new_window()
                self._settings += 1
                if self._settings > self._max_settings:
                    return self._abort(H2_ENHANCE_YOUR_CALM, b"too_many_settings")
        elif kind == FRAME_RST_STREAM:
            self._new_window()
            self._resets += 1
            if self._resets > self._max_resets and not self.client:
                return self._abort(H2_ENHANCE_YOUR_CALM, b"too_many_resets")
        elif kind == FRAME_GOAWAY:
            debug = PyBytes_FromStringAndSize(
                <const char *>frame.goaway.opaque_data, min(frame.goaway.opaque_data_len, <size_t>256))
            self._events.append((9, None, (frame.goaway.error_code, frame.goaway.last_stream_id, debug)))
        return 0

    cdef int _headers_received(self, Stream stream, const nghttp2_frame *frame) except -1000:
        cdef list headers = stream._headers if stream._headers is not None else []
        cdef bint end = (frame.hd.flags & FLAG_END_STREAM) != 0
        stream._headers = None
        if not self.client:
            if frame.headers.cat == HCAT_REQUEST:
                stream._announced = True
                self._events.append((1, stream, headers))
            if end:
                self._end_received(stream, headers if frame.headers.cat != HCAT_REQUEST else None)
        elif end:
            self._end_received(stream, headers)
        elif frame.headers.cat != HCAT_RESPONSE or not is_informational(headers):
            self._events.append((2, stream, headers))
        return 0

    cdef int _end_received(self, Stream stream, list trailers) except -1:
        if stream.half_closed:
            return 0
        stream.half_closed = True
        if (stream._body_need or stream._prefix_length) and not stream.invalid:
            stream._fail(StatusCode.INTERNAL, "stream ended inside a message")
        self._events.append((4, stream, trailers))
        return 0


cdef bint is_informational(list headers):
    return len(headers) > 0 and (<bytes>headers[0][1])[:1] == b"1" and headers[0][0] == b":status"


cdef inline void set_nv(nghttp2_nv *nv, bytes name, bytes value):
    nv.name = <uint8_t *>PyBytes_AS_STRING(name)
    nv.namelen = PyBytes_GET_SIZE(name)
    nv.value = <uint8_t *>PyBytes_AS_STRING(value)
    nv.valuelen = PyBytes_GET_SIZE(value)
    nv.flags = 0


cdef nghttp2_nv *make_nva(list headers) except NULL:
    """Array that points into the bytes objects of `headers`, which must outlive it. nghttp2 copies on submit."""
    cdef nghttp2_nv *nva
    cdef Py_ssize_t i
    for name, value in headers:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError("header names and values are bytes")
    nva = <nghttp2_nv *>PyMem_Malloc(max(<size_t>len(headers), 1) * sizeof(nghttp2_nv))
    if nva == NULL:
        raise MemoryError
    for i in range(len(headers)):
        set_nv(&nva[i], <bytes>headers[i][0], <bytes>headers[i][1])
    return nva


# ---- callbacks: each catches everything and tells nghttp2 to stop

cdef int guard(Connection connection, BaseException error) noexcept:
    connection._error = error
    return ERR_CALLBACK_FAILURE


cdef int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    try:
        return self._frame_received(frame)
    except BaseException as error:
        return guard(self, error)


cdef int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    if hd.type == FRAME_CONTINUATION:
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS:
            return self._abort(H2_ENHANCE_YOUR_CALM, b"too_many_continuations")
    elif hd.type == FRAME_HEADERS:
        self._continuations = 0
    return 0


cdef int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    self._new_window()
    self._resets += 1
    if self._resets > self._max_resets:
        return self._abort(H2_ENHANCE_YOUR_CALM, b"too_many_errors")
    return 0


cdef int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Connection self
    cdef Stream stream
    cdef void *data
    cdef int kind = frame.hd.type
    if kind == FRAME_DATA or kind == FRAME_HEADERS:
        self = <Connection>user_data
        self._strikes = 0
        self._last_ping = FAR_PAST
        if frame.hd.flags & FLAG_END_STREAM:
            data = nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
            if data != NULL:
                stream = <Stream>data
                stream.finished = True
                if not self.client and not stream.half_closed:
                    # The RPC is over; tell a client that is still sending to stop (RFC 9113 8.1).
                    nghttp2_submit_rst_stream(session, 0, frame.hd.stream_id, H2_NO_ERROR)
    elif kind == FRAME_GOAWAY:
        self = <Connection>user_data
        if self.terminating:
            self._goaway_sent = True
    return 0


cdef int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    try:
        if frame.hd.type == FRAME_HEADERS and self.client:
            self._close_stream(frame.hd.stream_id, H2_REFUSED_STREAM)
        return 0
    except BaseException as error:
        return guard(self, error)


cdef int on_data_chunk(
    nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length, void *user_data
) noexcept:
    cdef Connection self = <Connection>user_data
    cdef void *stream_data = nghttp2_session_get_stream_user_data(session, stream_id)
    cdef Stream stream
    if stream_data == NULL:
        nghttp2_session_consume(session, stream_id, length)
        return 0
    stream = <Stream>stream_data
    if stream._hold and not stream.invalid:
        stream._unconsumed += length
    else:
        nghttp2_session_consume(session, stream_id, length)
    if stream.invalid:
        return 0
    try:
        stream._feed(data, length)
        return 0
    except BaseException as error:
        return guard(self, error)


cdef int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    try:
        return self._close_stream(stream_id, code)
    except BaseException as error:
        return guard(self, error)


cdef int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) noexcept:
    cdef Connection self = <Connection>user_data
    cdef Stream stream
    cdef void *data
    try:
        if not self.client and frame.headers.cat == HCAT_REQUEST:
            stream = self._stream_type()
            stream._connection = self
            stream.id = frame.hd.stream_id
            self._streams[stream.id] = stream
            nghttp2_session_set_stream_user_data(session, stream.id, <void *>stream)
        else:
            data = nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
            if data == NULL:
                return 0
            stream = <Stream>data
        stream._headers = []
        stream._headers_size = 0
        return 0
    except BaseException as error:
        return guard(self, error)


cdef int on_header(
    nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length, uint8_t flags, void *user_data
) noexcept:
    cdef Connection self = <Connection>user_data
    cdef void *data = nghttp2_session_get_stream_user_data(session, frame.hd.stream_id)
    cdef Stream stream
    if data == NULL:
        return 0
    stream = <Stream>data
    stream._headers_size += name_length + value_length + 32
    if stream._headers_size > self._max_headers:
        nghttp2_submit_rst_stream(session, 0, frame.hd.stream_id, H2_ENHANCE_YOUR_CALM)
        return ERR_TEMPORAL_CALLBACK_FAILURE
    try:
        if stream._headers is not None:
            stream._headers.append((
                PyBytes_FromStringAndSize(<const char *>name, <Py_ssize_t>name_length),
                PyBytes_FromStringAndSize(<const char *>value, <Py_ssize_t>value_length),
            ))
        return 0
    except BaseException as error:
        return guard(self, error)


cdef ssize_t on_read(
    nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t length, uint32_t *flags,
    nghttp2_data_source *source, void *user_data
) noexcept:
    """nghttp2 asks how much of the stream's queue goes into the next DATA frame."""
    cdef Connection self = <Connection>user_data
    cdef Stream stream = <Stream>source.ptr
    cdef size_t available = <size_t>(stream.queued - stream._extracted)
    cdef nghttp2_nv *nva
    cdef int rc
    if available > length:
        flags[0] = DATA_NO_COPY
        return <ssize_t>length
    if stream.ended:
        flags[0] = DATA_EOF
        if available:
            flags[0] |= DATA_NO_COPY
        if stream._trailers is not None:
            flags[0] |= DATA_NO_END_STREAM
            try:
                nva = make_nva(stream._trailers)
                rc = nghttp2_submit_trailer(session, stream_id, nva, len(stream._trailers))
                PyMem_Free(nva)
                if rc != 0:
                    raise MemoryError
            except BaseException as error:
                return guard(self, error)
        return <ssize_t>available
    if not available:
        stream._deferred = True
        return ERR_DEFERRED
    flags[0] = DATA_NO_COPY
    return <ssize_t>available


cdef int on_send_data(
    nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length, nghttp2_data_source *source,
    void *user_data
) noexcept:
    """Write one DATA frame (9 byte header, payload from the stream's queue) into the output."""
    global scratch_length
    cdef Connection self = <Connection>user_data
    cdef Stream stream = <Stream>source.ptr
    cdef PyObject *item
    cdef size_t take, size
    cdef uint8_t *out
    try:
        scratch_reserve(9 + length)
        if not stream._touched:
            stream._touched = True
            self._touched.append(stream)
    except BaseException as error:
        return guard(self, error)
    out = scratch + scratch_length
    memcpy(out, header, 9)
    out += 9
    scratch_length += 9 + length
    stream._extracted += length
    while length:
        item = stream._ring[stream._head]
        size = <size_t>PyBytes_GET_SIZE(<object>item) - stream._offset
        take = min(size, length)
        memcpy(out, PyBytes_AS_STRING(<object>item) + stream._offset, take)
        out += take
        length -= take
        if take == size:
            stream._head = (stream._head + 1) & (stream._capacity - 1)
            stream._count -= 1
            stream._offset = 0
            Py_DECREF(<object>item)
        else:
            stream._offset += take
    if stream._count == 0 and stream._capacity > 1024:
        # Give a burst's memory back.
        PyMem_Free(stream._ring)
        stream._ring = NULL
        stream._capacity = 0
        stream._head = 0
    # Between DATA frames nghttp2 does not return to `_fill` by itself.
    return ERR_PAUSE if scratch_length >= self._limit else 0


cdef nghttp2_session_callbacks *callbacks = NULL
if nghttp2_session_callbacks_new(&callbacks) != 0:
    raise MemoryError
nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv)
nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame)
nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame)
nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send)
nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send)
nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk)
nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close)
nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers)
nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header)
nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data)
