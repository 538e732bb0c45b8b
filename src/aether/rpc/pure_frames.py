"""h2 with the guards that a server in the open needs, for `aether.rpc.pure_http2`.

Some overridden methods of `H2Connection` are private. h2 3.2 is the last of its series, and purerpc 0.8 takes no
other, so they do not move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import purerpc.grpclib.connection  # noqa: F401 - mends h2: resets and window updates on closed streams, slow output
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import FrameDataMissingError, FrameTooLargeError, ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.exceptions import InvalidFrameError, InvalidPaddingError
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, PushPromiseFrame

from aether.rpc.http2 import ENHANCE_YOUR_CALM
from aether.rpc.limits import Limits

__all__ = ["H2", "Abuse"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9
MAX_CONTINUATIONS = 8
DEFAULT_WINDOW = 65535
"""Window of a stream before SETTINGS (RFC 9113 6.9.2); h2 applies ours at once, so a smaller one would be too early."""
UNLIMITED = 2**31 - 1


class Abuse(ProtocolError):  # type: ignore[misc]
    """The peer does something too often; `debug` says what, for the GOAWAY."""

    error_code = ENHANCE_YOUR_CALM

    def __init__(self, debug: bytes) -> None:
        super().__init__(debug.decode())
        self.debug = debug


class _LocalSettings(Settings):  # type: ignore[misc]
    @property
    def max_concurrent_streams(self) -> int:
        """What h2 enforces by ending the connection; `pure_http2` refuses single streams at the advertised limit."""
        return UNLIMITED


class _Frames:
    """Cuts the input into frames: h2's own buffer takes quadratic time, and waits for a frame before it looks at its
    length.
    """

    def __init__(self, *, server: bool) -> None:
        self._data = bytearray()
        self._preface = PREFACE if server else b""
        self._block: list[Any] = []
        """A HEADERS frame and its CONTINUATIONs so far."""
        self.max_frame_size = 0
        """Set by h2."""

    def add_data(self, data: bytes) -> None:
        self._data += data

    def __iter__(self) -> Iterator[Any]:
        """The complete frames; a header block counts as one, in its HEADERS frame.

        :raises ProtocolError: the input cannot be understood.
        """
        data = self._data
        self._skip_preface()
        while len(data) >= FRAME_HEADER and not self._preface:
            try:
                frame, length = Frame.parse_frame_header(bytes(data[:FRAME_HEADER]))
            except (ValueError, InvalidFrameError) as error:
                raise ProtocolError(str(error)) from error
            if length > self.max_frame_size:
                raise FrameTooLargeError(f"frame of {length} bytes")
            if len(data) < FRAME_HEADER + length:
                return
            body = bytes(data[FRAME_HEADER : FRAME_HEADER + length])
            del data[: FRAME_HEADER + length]
            try:
                frame.parse_body(memoryview(body))
            except InvalidPaddingError as error:
                raise ProtocolError("invalid padding") from error
            except InvalidFrameError as error:
                raise FrameDataMissingError(str(error)) from error
            whole = self._joined(frame)
            if whole is not None:
                yield whole

    def _skip_preface(self) -> None:
        preface = self._preface
        if preface:
            length = min(len(preface), len(self._data))
            if self._data[:length] != preface[:length]:
                raise ProtocolError("no HTTP/2 preface")
            del self._data[:length]
            self._preface = preface[length:]

    def _joined(self, frame: Any) -> Any | None:
        """The frame, or the header block that it completes; None inside a header block."""
        block = self._block
        if block:
            if not isinstance(frame, ContinuationFrame) or frame.stream_id != block[0].stream_id:
                raise ProtocolError("a header block was interrupted")
            block.append(frame)
            if len(block) > MAX_CONTINUATIONS + 1:
                raise Abuse(b"too_many_continuations")
            if "END_HEADERS" not in frame.flags:
                return None
            first = block[0]
            first.flags.add("END_HEADERS")
            first.data = b"".join(part.data for part in block)
            self._block = []
            return first
        if isinstance(frame, HeadersFrame | PushPromiseFrame) and "END_HEADERS" not in frame.flags:
            block.append(frame)
            return None
        return frame


class H2(H2Connection):  # type: ignore[misc]
    """The protocol's state machine.

    :param on_frame: gets each frame before it is looked at; may raise Abuse.
    :param on_events: gets h2's events of each frame, so that a protocol error does not take those before it away.
    """

    MAX_CLOSED_STREAMS = 1000
    """Ended streams that h2 remembers, to tell late frames from wrong ones."""

    def __init__(
        self,
        config: H2Configuration,
        limits: Limits,
        on_frame: Callable[[Any], None],
        on_events: Callable[[list[Any]], None],
    ) -> None:
        super().__init__(config)
        self._on_frame = on_frame
        self._on_events = on_events
        self.incoming_buffer = _Frames(server=not config.client_side)
        # More than what resets a stream, because here the connection has to end: the decoder stops inside the block.
        self.decoder.max_header_list_size = 4 * limits.max_header_list
        values = {
            SettingCodes.INITIAL_WINDOW_SIZE: max(limits.initial_window, DEFAULT_WINDOW),
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list,
            SettingCodes.ENABLE_PUSH: 0,
        }
        if not config.client_side:
            values[SettingCodes.MAX_CONCURRENT_STREAMS] = limits.max_concurrent_streams
        self.local_settings = _LocalSettings(client=config.client_side, initial_values=values)
        self.initiate_connection()
        if limits.initial_window_connection > DEFAULT_WINDOW:
            self.increment_flow_control_window(limits.initial_window_connection - DEFAULT_WINDOW)

    @property
    def backlog(self) -> int:
        """Bytes that `data_to_send` would return."""
        return len(self._data_to_send)

    def send_shutdown_notice(self) -> None:
        """GOAWAY that names no stream as the last one; streams go on, new ones are still taken."""
        self._prepare_for_sending([GoAwayFrame(stream_id=0, last_stream_id=UNLIMITED, error_code=0)])

    def _receive_frame(self, frame: Any) -> list[Any]:
        self._on_frame(frame)
        self._on_events(super()._receive_frame(frame))
        return []

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Any]]:
        """`on_frame` saw it. h2 would take it for the end, but streams may still finish (RFC 9113 6.8)."""
        del frame
        return [], []

    def _terminate_connection(self, error_code: int) -> None:
        """`pure_http2` does it, when it sees the exception that follows."""
