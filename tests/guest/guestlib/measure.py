"""What is measured of the BMC of make-bmc-image: its first answers, memory, flash and instructions."""
import mmap
import os
import struct
import subprocess
import threading
import time

from . import bmc_host, machine

UNITS = ("platformd.service ipmid.service netipmid@eth0.service kcsbridged@ipmi-kcs3.service btbridged@ipmi-bt-host.service "
         "ssifbridged@ipmi-ssif-host.service ipmbbridged@ipmb-3.service mctp-demuxd.service").split()
FIRST, PASSWORD = "change-me-at-once", "a-better-one"
GET_DEVICE_ID = bytes.fromhex("1801")
# Private memory, what systemd itself says of it (PSS would count libraries that others load too), and the threads.
MEMORY = """for p in %s
do awk -v n=$(cat /proc/$p/comm) '/^Private_(Clean|Dirty)/ { s += $2 } /^Pss:/ { p += $2 } END { printf "%%s %%d %%d ", n, s, p }' \
/proc/$p/smaps_rollup; ls /proc/$p/task | wc -l; done"""


class FirstAnswers(threading.Thread):
    """Asks for Get Device ID over KCS and over LAN from the power-on, and notes when each is answered first."""

    def __init__(self, bmc, limit, counter=None, password=FIRST):
        super().__init__(daemon=True)
        self.bmc, self.limit, self.counter, self.password = bmc, limit, counter, password
        self.kcs = self.lan = None
        self.instructions = {}

    def run(self):
        host = self.bmc.open_kcs()
        lan = threading.Thread(target=self._lan, daemon=True)
        lan.start()
        while self.kcs is None and self.bmc.elapsed() < self.limit:
            try:
                if not host.listens():
                    time.sleep(0.1)
                elif host.transact(GET_DEVICE_ID)[1:3] == b"\x01\x00":
                    self.kcs = self._now("kcs")
            except bmc_host.Failed:
                time.sleep(0.1)
        lan.join(self.limit)

    def _lan(self):
        while self.lan is None and self.bmc.elapsed() < self.limit:
            try:
                self.bmc.ipmitool("mc", "info", password=self.password, once=False)
                self.lan = self._now("lan")
            except (machine.Failed, subprocess.SubprocessError):
                time.sleep(0.2)

    def _now(self, name):
        if self.counter:
            self.instructions[name] = self.counter.now()
        return self.bmc.elapsed()

    def since_kernel(self):
        """Seconds from the kernel's start to the answers over KCS and LAN. The root shell has to be open."""
        started = self.bmc.elapsed() - float(self.bmc.run("cat /proc/uptime").split()[0])
        return self.kcs - started, self.lan - started


def await_sensors(bmc, password, count, limit=400):
    """Waits until so many sensors are well. While the BMC starts, an answer may take too long."""
    end = time.monotonic() + limit
    while True:
        try:
            listed = bmc.ipmitool("sdr", "list", password=password, limit=200).splitlines()
        except machine.Failed as error:
            listed = [str(error)]
        ill = [line for line in listed if not line.rstrip().endswith("| ok")]
        if len(listed) - len(ill) >= count:  # the records of FRU devices are listed too
            return
        if time.monotonic() > end:
            raise machine.Failed("%d sensors are well, not %d: %s" % (len(listed) - len(ill), count, ill))
        time.sleep(1)


class Instructions:
    """The counter of tests/bench/instructions.c."""

    def __init__(self, path):
        end = time.monotonic() + 20
        while not os.path.exists(path) or os.path.getsize(path) < 8:  # until QEMU has loaded the plugin
            if time.monotonic() > end:
                raise machine.Failed("the plugin does not count: see tests/bench/instructions.c")
            time.sleep(0.05)
        with open(path, "rb") as file:
            self.count = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def now(self):
        return struct.unpack("=Q", self.count)[0]

    def each(self, count, work, idle=4):
        """Instructions of one of `count`, which `work` does, without those of an idle BMC."""
        before, began = self.now(), time.monotonic()
        time.sleep(idle)
        rate = (self.now() - before) / (time.monotonic() - began)
        before, began = self.now(), time.monotonic()
        work()
        return (self.now() - before - rate * (time.monotonic() - began)) / count


def memory(bmc, pids):
    """Rows (program, private kB, PSS kB, threads) of the processes."""
    rows = []
    for line in bmc.run(MEMORY % " ".join(pids), 120).splitlines():
        program, private, pss, threads = line.split()
        rows.append((program, int(private), int(pss), int(threads)))
    if len(rows) != len(pids):
        raise machine.Failed("the memory of each process: %s" % rows)
    return rows


def pids(bmc, units=UNITS):
    """The main processes of the units."""
    return bmc.run("for u in %s; do systemctl show -p MainPID --value $u; done" % " ".join(units)).split()


def flash(package, work):
    """Sizes of the multicall binary of the package: plain, and as a squashfs with xz stores it."""
    alone = os.path.join(work, "alone")
    os.makedirs(alone)
    binary = os.path.join(alone, "causeway")
    with open(binary, "wb") as out, subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-O", "./usr/bin/causeway"], stdin=archive.stdout, stdout=out, check=True)
    return squashed(alone, binary, os.path.join(work, "alone.img"))


def squashed(folder, binary, image):
    """Sizes of a program that is alone in a folder: plain, and as a squashfs with xz stores it."""
    subprocess.run(["mksquashfs", folder, image, "-comp", "xz", "-b", "1M", "-Xbcj", "arm,armthumb", "-noappend", "-all-root",
                    "-quiet", "-no-progress", "-no-fragments"], check=True, stdout=subprocess.DEVNULL)
    return os.path.getsize(binary), os.path.getsize(image)


def table(bmc, package, work, first):
    """Prints what an image that has just booted shows."""
    plain, packed = flash(package, work)
    rows = memory(bmc, pids(bmc))
    kcs, lan = first.since_kernel()
    print("\n| measured on QEMU's ast2600-evb | |\n|---|---|")
    print("| flash: the one binary of the package, plain / squashfs-xz | %.2f MB / %.2f MB |" % (plain / 1e6, packed / 1e6))
    print("| private memory of all daemons, idle, 100 sensors | %.2f MB |" % (sum(row[1] for row in rows) / 1e3))
    for unit, private, pss, threads in rows:
        print("| %s: private, proportional, threads | %d kB, %d kB, %d |" % (unit, private, pss, threads))
    print("| kernel's start to the first Get Device ID over KCS (this machine's clock) | %.1f s |" % kcs)
    print("| kernel's start to the first login over LAN (this machine's clock) | %.1f s |" % lan)
    for line in bmc.run("systemd-analyze time", check=False).strip().splitlines()[:1]:
        print("| systemd-analyze | %s |" % line, flush=True)


def build(source, out, *options):
    """Builds a C program; returns its path."""
    subprocess.run([*options, "-O2", "-o", out, source], check=True)
    return out


def peer(here, work):
    """tests/guest/mctp-peer.c for the BMC."""
    return build(os.path.join(here, "mctp-peer.c"), os.path.join(work, "mctp-peer"), "arm-linux-gnueabihf-gcc", "-static")
