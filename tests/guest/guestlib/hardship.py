"""What the BMC of make-bmc-image has to go through: a full flash, and the same state after a power cut."""
import struct
import time

from . import machine

ADD_SEL_ENTRY, GET_SEL_ENTRY, GET_SEL_INFO = bytes([0x28, 0x44]), bytes([0x28, 0x43]), bytes([0x28, 0x40])
SET_USER_NAME, GET_USER_NAME = bytes([0x18, 0x45]), bytes([0x18, 0x46])
USER = 3
MOST = 3000  # records; a block of the medium has fewer


class State:
    """What the BMC has acknowledged over KCS: records of the log by their id, and a user's name."""

    def __init__(self):
        self.records = {}
        self.name = b""

    def add(self, kcs):
        """Adds an OEM record without a timestamp, whose bytes say which it is; returns the completion code."""
        data = b"\xe0" + struct.pack("<Q", len(self.records)) + b"flash"
        answer = kcs.transact(ADD_SEL_ENTRY + b"\xff\xff" + data)
        if answer[2] == 0:
            self.records[int.from_bytes(answer[3:5], "little")] = data
        return answer[2]

    def rename(self, kcs, name):
        """Renames a user; returns the completion code."""
        code = kcs.transact(SET_USER_NAME + bytes([USER]) + name.ljust(16, b"\0"))[2]
        if code == 0:
            self.name = name
        return code

    def store(self, kcs, name):
        """A record and a user's name, which have to be taken."""
        codes = self.add(kcs), self.rename(kcs, name)
        if any(codes):
            raise machine.Failed("a record and a name are refused: %02x, %02x" % codes)

    def verify(self, kcs):
        for identifier, data in self.records.items():
            answer = kcs.transact(GET_SEL_ENTRY + struct.pack("<HHBB", 0, identifier, 0, 0xFF))
            if answer[2] != 0 or answer[7:] != data:
                raise machine.Failed("record %04x is %s instead of %s" % (identifier, answer[2:].hex(" "), data.hex(" ")))
        found = kcs.transact(GET_USER_NAME + bytes([USER]))[3:].rstrip(b"\0")
        if found != self.name:
            raise machine.Failed("the user is %r instead of %r" % (found, self.name))


def full_flash(bmc, state):
    """Without room, what cannot be stored is refused with an error and changes nothing; it works again with room.
    Returns the completion codes of a record and of a user's name, which may still find room, and how many records did."""
    kcs = bmc.kcs
    state.store(kcs, b"before")
    bmc.run("cat /dev/zero > /state/full 2> /dev/null; sync; cat /dev/zero >> /state/full 2> /dev/null; sync", 120, check=False)
    room = int(bmc.run("df -k /state | tail -n 1 | awk '{ print $4 }'"))
    if room:
        raise machine.Failed("%d kB are left of the medium" % room)
    before = len(state.records)
    # Files grow up to the end of their last block.
    while not (record := state.add(kcs)):
        if len(state.records) > before + MOST:
            raise machine.Failed("%d records were taken without room" % MOST)
    found = len(state.records) - before
    name = state.rename(kcs, b"while-full")
    bmc.run("systemctl restart ipmid", 120)  # it reads what it has stored
    patiently(lambda: state.verify(kcs))
    bmc.run("rm /state/full; sync")
    patiently(lambda: state.store(kcs, b"after"))
    state.verify(kcs)
    return record, name, found


def patiently(work, limit=60):
    """Does something that may fail for a while."""
    end = time.monotonic() + limit
    while True:
        try:
            return work()
        except machine.Failed:
            if time.monotonic() > end:
                raise
            time.sleep(1)
