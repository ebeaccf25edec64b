"""The host behind an AST2600's LPC bus, simulated through QEMU's control sockets.

QEMU's model shows the host's side of a KCS channel as properties: setting idrN writes a byte and raises
the interrupt, getting odrN reads one and clears OBF. It has no way to say "command, not data", so the
qtest socket sets that bit (3) of STRn beforehand (IPMI v2.0 §9)."""
import json
import socket
import time

IBF, OBF, COMMAND = 0x02, 0x01, 0x08
IDLE, READ, WRITE, ERROR = range(4)
GET_STATUS_ABORT, WRITE_START, WRITE_END, READ_BYTE = 0x60, 0x61, 0x62, 0x68
LPC = 0x1E789000
INTERRUPTS = LPC + 0x08  # HICR2; bit N: channel N interrupts the BMC (1 to 3)
STATUS_REGISTER = {1: 0x3C, 2: 0x40, 3: 0x44, 4: 0x11C}
LIMIT = 60  # s; machines may be slow


class Failed(Exception):
    """The interface violated the specification."""


class Lines:
    """A control socket of QEMU: one line of request, one line of response."""

    def __init__(self, path):
        end = time.monotonic() + LIMIT
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(LIMIT)
        self.file = self.socket.makefile("rwb", 0)


class Qmp(Lines):
    """QEMU's monitor."""

    def __init__(self, path):
        super().__init__(path)
        self.file.readline()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self.file.readline())
            if "error" in reply:
                raise Failed(reply["error"]["desc"])
            if "return" in reply:
                return reply["return"]


class Qtest(Lines):
    """QEMU's test protocol: the BMC's memory."""

    def do(self, text):
        self.file.write(text.encode() + b"\n")
        reply = self.file.readline().split()
        if reply[:1] != [b"OK"]:
            raise Failed("qtest: %r" % reply)
        return int(reply[1], 16) if len(reply) > 1 else None


class Kcs:
    """The host's end of one KCS channel."""

    def __init__(self, qmp, qtest, channel):
        self.qmp, self.qtest, self.channel = qmp, qtest, channel

    def get(self, register):
        return self.qmp.do("qom-get", path="/machine/soc/lpc", property="%s%d" % (register, self.channel))

    def listens(self):
        """Whether the BMC has opened the channel. QEMU raises no interrupt for a byte that came before."""
        return bool(self.qtest.do("readl 0x%x" % INTERRUPTS) >> self.channel & 1)

    def state(self):
        return self.get("str") >> 6

    def attention(self):
        return bool(self.get("str") & 0x04)

    def _until(self, holds, what, limit=LIMIT):
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise Failed("%s; status %02x" % (what, self.get("str")))
            time.sleep(0.001)

    def put(self, byte, command=False):
        """Writes a byte and waits until the BMC has read it."""
        self._until(lambda: not self.get("str") & IBF, "the BMC takes nothing")
        address = LPC + STATUS_REGISTER[self.channel]
        status = self.qtest.do("readl 0x%x" % address)
        status = status | COMMAND if command else status & ~COMMAND
        self.qtest.do("writel 0x%x 0x%x" % (address, status))
        self.qmp.do("qom-set", path="/machine/soc/lpc", property="idr%d" % self.channel, value=byte)
        self._until(lambda: not self.get("str") & IBF, "the BMC did not take a byte")

    def settle(self, *states):
        self._until(lambda: self.state() in states, "not in state %s" % (states,))
        return self.state()

    def begin(self, request):
        """Writes a request up to, and without, its last byte."""
        self.get("odr")
        self.put(WRITE_START, command=True)
        self.settle(WRITE)
        self.get("odr")
        for byte in request[:-1]:
            self.put(byte)
            self.settle(WRITE)
            self.get("odr")

    def request(self, request):
        """Writes a whole request."""
        self.begin(request)
        self.put(WRITE_END, command=True)
        self.settle(WRITE)
        self.get("odr")
        self.put(request[-1])

    def response(self):
        """Reads a response."""
        out = bytearray()
        while True:
            state = self.settle(READ, IDLE, ERROR)
            self._until(lambda: self.get("str") & OBF, "the BMC gives nothing")
            byte = self.get("odr")
            if state == IDLE:
                return bytes(out)
            if state == ERROR:
                raise Failed("error state")
            out.append(byte)
            self.put(READ_BYTE)

    def transact(self, request):
        self.request(request)
        return self.response()

    def until_error(self, limit=60):
        self._until(lambda: self.state() == ERROR, "no error state", limit)

    def abort(self):
        """Get Status/Abort (IPMI v2.0 §9.13): ends a transfer and returns the status code."""
        self.put(GET_STATUS_ABORT, command=True)
        self._until(lambda: self.get("str") & OBF, "no answer to an abort")
        self.get("odr")
        self.put(0)
        self.settle(READ)
        self._until(lambda: self.get("str") & OBF, "no status code")
        code = self.get("odr")
        self.put(READ_BYTE)
        self.settle(IDLE)
        self._until(lambda: self.get("str") & OBF, "no end of an abort")
        self.get("odr")
        return code
