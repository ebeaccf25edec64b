"""A guest's process, and what its script writes."""
import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time

BLOCK = 1 << 16
TIME_IS_UP, NO_START, ENDED_EARLY = 124, 125, 126
WHY = {TIME_IS_UP: "time is up", NO_START: "QEMU did not start", ENDED_EARLY: "the guest ended early"}


def die_with_parent():
    """Makes QEMU end together with this program, also if this program is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Markers:
    """Finds the script's output between the lines that the guest's init writes."""

    def __init__(self, nonce):
        self.begin = b"@@GUEST-START %s\n" % nonce.encode()
        self.end = b"@@GUEST-EXIT %s " % nonce.encode()
        self.held = b""
        self.running = False

    def feed(self, data):
        """Yields ("early", bytes), ("begin", b""), ("output", bytes) and ("end", status)."""
        self.held += data
        while True:
            if self.begin in self.held:  # the first boot, or the guest came up again
                before, self.held = self.held.split(self.begin, 1)
                yield ("output" if self.running else "early"), before
                self.running = True
                yield "begin", b""
            if not self.running:
                return
            at = self.held.find(self.end)
            if at < 0 or b"\n" not in self.held[at:]:
                keep = at if at >= 0 else len(self.held) - self._tail()
                yield "output", self.held[:keep]
                self.held = self.held[keep:]
                return
            yield "output", self.held[:at]
            line, self.held = self.held[at + len(self.end):].split(b"\n", 1)
            self.running = False
            yield "end", int(line)

    def _tail(self):
        """How many of the last bytes may be the start of a marker."""
        longest = max(len(self.begin), len(self.end)) - 1
        for count in range(min(longest, len(self.held)), 0, -1):
            tail = self.held[-count:]
            if self.begin.startswith(tail) or self.end.startswith(tail):
                return count
        return 0


class Guest:
    """A QEMU whose standard output is a serial port with a script on it."""

    def __init__(self, command, nonce, began=None):
        self.began = began or time.monotonic()
        self.markers = Markers(nonce)
        self.errors = b""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0, preexec_fn=die_with_parent)
        self.selector = selectors.DefaultSelector()
        for stream in (self.process.stdout, self.process.stderr):
            self.selector.register(stream, selectors.EVENT_READ)

    def pass_stdin(self):
        """Hands this program's standard input to the script."""
        def copy():
            try:
                while chunk := os.read(0, BLOCK):
                    self.process.stdin.write(chunk)
            except OSError:
                pass  # the guest has ended
        threading.Thread(target=copy, daemon=True).start()

    def events(self, limit):
        """What `Markers.feed` yields, until QEMU ends; then ("gone", None), or ("late", None)."""
        while self.selector.get_map():
            left = self.began + limit - time.monotonic()
            ready = self.selector.select(left) if left > 0 else []
            if not ready:
                yield "late", None
                return
            for key, _ in ready:
                data = os.read(key.fd, BLOCK)
                if not data:
                    self.selector.unregister(key.fileobj)
                elif key.fileobj is self.process.stderr:
                    self.errors += data
                else:
                    yield from self.markers.feed(data)
        yield "gone", None

    def pseudo_terminals(self):
        """The terminals that QEMU has opened so far, by their chardev's name."""
        text = self.markers.held + self.errors
        return dict(re.findall(rb"char device redirected to (\S+) \(label (\w+)\)", text))

    def elapsed(self):
        return time.monotonic() - self.began

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        lines = self.errors.splitlines(True)
        return b"".join(line for line in lines if b"terminating on signal" not in line)


def tell_end(program, status, elapsed, log, verbose):
    """Prints how the guest ended, with the last console output, unless the script ended by itself."""
    if verbose or status in WHY:
        why = WHY.get(status, "status %d" % status)
        print("%s: %s after %.1f s; console:" % (program, why, elapsed), file=sys.stderr)
        lines = log.replace(b"\r\n", b"\n").splitlines()
        sys.stderr.flush()
        sys.stderr.buffer.write(b"\n".join(lines if verbose else lines[-20:]) + b"\n")
        sys.stderr.flush()
