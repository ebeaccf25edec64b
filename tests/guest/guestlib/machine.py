"""The AST2600 of make-bmc-image: QEMU, its root shell, its KCS channel, its lines and its network."""
import os
import re
import secrets
import select
import socket
import subprocess
import time

from . import bmc_host, console


class Failed(Exception):
    """The BMC did not do what it has to."""


def kernel(cache):
    """The folder of a BMC's kernel: that of make-kernel bmc, or else of make-kernel debian."""
    own = os.path.join(cache, "bmc")
    return own if os.path.exists(os.path.join(own, "zImage")) else own + "-debian"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Machine:
    """A BMC that runs. `work` gets the sockets; the images are used as they are, so that state remains."""

    LINES = ("console", "host", "mctp")  # UART 5, 1 and 2

    def __init__(self, kernel, images, work, port=None, extra=(), append=""):
        self.work = work
        self.port = port or free_port()
        self.log = bytearray()
        self.shell = None
        options = []
        for name in self.LINES:
            path = self._path(name)
            if os.path.exists(path):
                os.unlink(path)
            options += ["-chardev", "socket,id=%s,path=%s,server=on,wait=off" % (name, path), "-serial", "chardev:" + name]
        for index, name in enumerate(("root.img", "state.img")):
            options += ["-drive", "file=%s/%s,format=raw,if=sd,index=%d" % (images, name, index)]
        if os.path.exists(os.path.join(kernel, "initrd")):
            options += ["-initrd", os.path.join(kernel, "initrd")]
        self.began = time.monotonic()
        self.errors = open(os.path.join(work, "qemu"), "wb")
        self.process = subprocess.Popen(
            ["qemu-system-arm", "-M", "ast2600-evb", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot",
             "-kernel", os.path.join(kernel, "zImage"), "-dtb", os.path.join(kernel, "ast2600.dtb"),
             "-append", "console=ttyS4,115200n8 root=/dev/mmcblk0 rootfstype=squashfs ro rootwait init=/sbin/preinit "
                        "panic=-1 loglevel=4 systemd.show_status=0 systemd.getty_auto=0 quiet " + append,
             "-nic", "user,hostfwd=udp:127.0.0.1:%d-10.0.2.15:623" % self.port,
             "-qmp", "unix:%s,server=on,wait=off" % self._path("qmp"),
             "-qtest", "unix:%s,server=on,wait=off" % self._path("qtest"), "-qtest-log", "none", *options, *extra],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, preexec_fn=console.die_with_parent)
        self.kcs = None

    def _path(self, name):
        return os.path.join(self.work, name)

    def elapsed(self):
        return time.monotonic() - self.began

    def line(self, name):
        """A serial line's other end."""
        end = time.monotonic() + 20
        while True:
            try:
                one = socket.socket(socket.AF_UNIX)
                one.connect(self._path(name))
                one.settimeout(0)
                return one
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    with open(self._path("qemu"), encoding="utf-8", errors="replace") as text:
                        raise Failed("QEMU did not start: " + text.read()[-500:]) from None
                time.sleep(0.05)

    def open_kcs(self):
        self.kcs = bmc_host.Kcs(bmc_host.Qmp(self._path("qmp")), bmc_host.Qtest(self._path("qtest")), 3)
        return self.kcs

    def open_console(self):
        """Keeps what the console says from now on."""
        if self.shell is None:
            self.shell = self.line("console")

    def last_words(self):
        """The end of what the console, and QEMU, have said."""
        while self.shell and select.select([self.shell], [], [], 0.2)[0]:
            text = self.shell.recv(1 << 16)
            if not text:
                break
            self.log += text
        with open(self._path("qemu"), encoding="utf-8", errors="replace") as qemu:
            said = qemu.read()[-500:]
        return "%s (QEMU's exit status %s) %s" % (self.log[-2000:].decode(errors="replace"), self.process.poll(), said)

    def read_until(self, pattern, limit, since=0):
        """Reads the console until the pattern, and returns the match."""
        self.open_console()
        end = time.monotonic() + limit
        while not (found := re.search(pattern, self.log[since:])):
            left = end - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                raise Failed("no %r on the console: %s" % (pattern, self.log[-1500:].decode(errors="replace")))
            if select.select([self.shell], [], [], left)[0]:
                self.log += self.shell.recv(1 << 16)
        return found

    def open_shell(self, limit):
        """Waits for the root shell, which reads one line after the other."""
        self.read_until(rb"READY\r?\n", limit)

    def run(self, command, limit=60, check=True):
        """Output of a command of the root shell, which has to succeed."""
        mark, since = secrets.token_hex(6), len(self.log)
        self.shell.settimeout(None)
        self.shell.sendall(("%s; echo @@%s $?\n" % (command.replace("\n", "; "), mark)).encode())
        self.shell.settimeout(0)
        found = self.read_until(b"@@%s (\\d+)\r?\n" % mark.encode(), limit, since)
        text = self.log[since:since + found.start()].decode(errors="replace").replace("\r", "")
        if check and found[1] != b"0":
            raise Failed("%s: status %s: %s" % (command, found[1].decode(), text))
        return text

    def ipmitool(self, *command, user="admin", password="", suite="17", limit=60, once=True):
        """ipmitool over the BMC's network interface."""
        done = subprocess.run(
            ["ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(self.port), "-U", user, "-P", password, "-C", suite,
             "-N", "10" if once else "3", "-R", "1", *command],
            capture_output=True, text=True, check=False, timeout=limit, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed("ipmitool %s: %s" % (" ".join(command), (done.stdout + done.stderr).strip()))
        return done.stdout

    def kill(self):
        """As a power cut."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()
        if self.shell:
            self.shell.close()
            self.shell = None
