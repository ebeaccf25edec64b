"""Programs for a guest: the file, its loader and its libraries out of unpacked packages."""
import os
import re

from .debian import Failed, run

# By ELF machine: the loader's path in the guest, and the folder of the libraries.
LOADERS = {
    b"\x3e\x00": ("lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
    b"\x28\x00": ("lib/ld-linux-armhf.so.3", "arm-linux-gnueabihf"),
}
NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+?)\]")


class Programs:
    """Adds programs to an archive, each library once. `root` has the packages unpacked."""

    def __init__(self, archive, root):
        self.archive = archive
        self.root = root
        self.seen = set()

    def add(self, path, name):
        """The program at `path` as `name` in the guest, with all that it loads."""
        self.archive.host_file(name, path, executable=True)
        with open(path, "rb") as program:
            head = program.read(20)
        if head[:4] != b"\x7fELF":
            return
        loader, triplet = LOADERS[head[18:20]]
        if self._needed(path):
            self._library(os.path.basename(loader), loader, triplet)
        self._libraries(path, triplet)

    def _needed(self, path):
        return NEEDED.findall(run("readelf", "-dW", path))

    def _libraries(self, path, triplet):
        for name in self._needed(path):
            self._library(name, "lib/%s/%s" % (triplet, name), triplet)

    def _library(self, name, destination, triplet):
        if name in self.seen:
            return
        self.seen.add(name)
        for below in ("lib/" + triplet, "usr/lib/" + triplet, "lib", "lib64"):
            found = os.path.join(self.root, below, name)
            if os.path.exists(found):
                self.archive.host_file(destination, os.path.realpath(found), executable=True)
                self._libraries(found, triplet)
                return
        raise Failed("no package has %s" % name)
