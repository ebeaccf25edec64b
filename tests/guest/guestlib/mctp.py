"""The other end of an MCTP serial line (DSP0253), with the control protocol's requests (DSP0236)."""
import time

FRAME, ESCAPE = 0x7E, 0x7D
OWN = 0x30


class Failed(Exception):
    """The endpoint did not answer as it must."""


def fcs(data):
    """The checksum of RFC 1662 as Linux's driver and libmctp compute it: not complemented."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


def frame(packet):
    body = bytes([1, len(packet)]) + packet
    escaped = bytearray()
    for byte in packet:
        escaped += bytes([ESCAPE, byte ^ 0x20]) if byte in (FRAME, ESCAPE) else bytes([byte])
    return bytes([FRAME, 1, len(packet)]) + escaped + fcs(body).to_bytes(2, "big") + bytes([FRAME])


def unframe(held):
    """The first packet of what was received, and what comes after it; None as long as it is not whole. The packet is
    empty if it is damaged. A frame is read by its length, as its checksum is not escaped."""
    at = held.find(bytes([FRAME, 1]))
    if at < 0 or len(held) < at + 3:
        return None
    packet, end = bytearray(), at + 3
    while len(packet) < held[at + 2]:
        escaped = held[end:end + 1] == bytes([ESCAPE])
        if len(held) < end + 1 + escaped:
            return None
        packet.append(held[end + 1] ^ 0x20 if escaped else held[end])
        end += 1 + escaped
    if len(held) < end + 3:
        return None
    whole = fcs(bytes([1, len(packet)]) + packet) == int.from_bytes(held[end:end + 2], "big") and held[end + 2] == FRAME
    return (bytes(packet), held[end + 2:]) if whole else (b"", held[at + 1:])


class Serial:
    """A line of frames."""

    def __init__(self, line):
        self.line = line
        self.line.settimeout(1)
        self.held = b""
        self.instance = 0
        self.tag = 0

    def packets(self, limit):
        """Packets as they come, until the limit."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                self.held += self.line.recv(4096)
            except TimeoutError:
                continue
            while found := unframe(self.held):
                packet, self.held = found
                if packet:
                    yield packet

    def control(self, destination, command, data=b"", limit=10, tries=3):
        """The response to a control request: completion code and data. A request is sent again after `limit` seconds."""
        for _ in range(tries):
            self.instance = (self.instance + 1) % 32
            header = bytes([1, destination, OWN, 0xC8 | self.instance % 8])
            self.line.sendall(frame(header + bytes([0, 0x80 | self.instance, command]) + data))
            for packet in self.packets(limit):
                if packet[4:7] == bytes([0, self.instance, command]):
                    return packet[7:]
        raise Failed("no answer to MCTP control command %02x" % command)

    def exchange(self, destination, message, limit=10):
        """The response to a request of any type: a message of the same type."""
        self.tag = (self.tag + 1) % 8
        parts = [message[at:at + 64] for at in range(0, len(message), 64)]
        for number, part in enumerate(parts):
            flags = (number == 0) << 7 | (number == len(parts) - 1) << 6 | number % 4 << 4 | 0x08 | self.tag
            self.line.sendall(frame(bytes([1, destination, OWN, flags]) + part))
        got = b""
        for packet in self.packets(limit):
            got = (b"" if packet[3] & 0x80 else got) + packet[4:]
            if packet[3] & 0x40 and got[:1] == message[:1]:
                return got
        raise Failed("no answer to an MCTP message of %d bytes" % len(message))
