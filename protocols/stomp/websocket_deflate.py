"""permessage-deflate (RFC 7692) for a server that trusts nobody: wsproto's, with limits.

Inflated, a few octets become a thousand times as many: so there is a limit to a message.
"""

from __future__ import annotations

from collections.abc import Callable

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

_SLICE_SIZE = 1_024  # Inflated at a time: becomes about 1 MiB at most.
_WORTHWHILE_SIZE = 1_024  # Shorter messages are sent as they are.


class LimitedDeflate(PerMessageDeflate):
    """One connection's; `max_size` tells how large an inflated message may be now."""

    def __init__(self, max_size: Callable[[], int]) -> None:
        super().__init__()
        self._max_size = max_size
        self._size = 0  # Of the message that is coming, inflated.
        self._in_control_frame = False

    def accept(self, offer: str) -> bool | str | None:
        """Agree to a client's offer; one that makes no sense is passed over."""
        try:
            return super().accept(offer)
        except ValueError:
            return None

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """A frame begins. Control frames are hidden from wsproto, which takes one for an end."""
        self._in_control_frame = opcode.iscontrol()
        if self._in_control_frame:
            return RsvBits(False, False, False)
        if opcode is not Opcode.CONTINUATION:
            self._size = 0
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a part of a frame."""
        if self._in_control_frame:
            return data
        inflated = []
        for start in range(0, len(data), _SLICE_SIZE):
            piece = super().frame_inbound_payload_data(proto, data[start : start + _SLICE_SIZE])
            if isinstance(piece, CloseReason):
                return piece
            self._size += len(piece)
            if self._size > self._max_size():
                return CloseReason.MESSAGE_TOO_BIG
            inflated.append(piece)
        return b"".join(inflated)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """A frame ends."""
        if self._in_control_frame:
            return None
        return super().frame_inbound_complete(proto, fin)

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,
    ) -> tuple[RsvBits, bytes]:
        """Deflate a message, if it is worth it; ours are never fragmented."""
        if len(data) < _WORTHWHILE_SIZE:
            return rsv, data
        return super().frame_outbound(proto, opcode, rsv, data, fin)
