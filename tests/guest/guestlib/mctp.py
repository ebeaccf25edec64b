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


class Serial:
    """A line of frames."""

    def __init__(self, line):
        self.line = line
        self.line.settimeout(1)
        self.held = b""
        self.instance = 0

    def packets(self, limit):
        """Packets as they come, until the limit."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                self.held += self.line.recv(4096)
            except TimeoutError:
                continue
            while len(parts := self.held.split(bytes([FRAME]), 1)) == 2:
                body, self.held = parts
                raw = bytearray()
                escaped = False
                for byte in body:
                    if escaped:
                        raw.append(byte ^ 0x20)
                    elif byte != ESCAPE:
                        raw.append(byte)
                    escaped = byte == ESCAPE
                if len(raw) > 4 and raw[0] == 1 and raw[1] == len(raw) - 4 and \
                        fcs(raw[:-2]) == int.from_bytes(raw[-2:], "big"):
                    yield bytes(raw[2:-2])

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
