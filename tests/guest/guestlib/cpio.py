"""The newc archives that Linux unpacks as its first file system."""
import os
import stat

TRAILER = "TRAILER!!!"


class Archive:
    """Files, folders and device nodes, in the order in which they are added."""

    def __init__(self):
        self.out = bytearray()
        self.entries = 0
        self.folders = set()

    def _entry(self, name, mode, body=b"", device=(0, 0)):
        raw = name.strip("/").encode() + b"\0"
        self.entries += 1
        fields = [self.entries, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(raw), 0]
        self.out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self._align()
        self.out += body
        self._align()

    def _align(self):
        self.out += b"\0" * (-len(self.out) % 4)

    def folder(self, name):
        """A folder and those above it, each once."""
        parts = name.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path and path not in self.folders:
                self.folders.add(path)
                self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, name, body, executable=False):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | (0o755 if executable else 0o644), body)

    def host_file(self, name, path, executable=None):
        """A file of this machine; executable if the original is, unless given."""
        with open(path, "rb") as source:
            body = source.read()
        self.file(name, body, os.access(path, os.X_OK) if executable is None else executable)

    def node(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self):
        """The whole archive. The kernel accepts several archives one after the other."""
        self._entry(TRAILER, 0)
        return bytes(self.out)
