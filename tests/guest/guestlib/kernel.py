"""Kernels out of Debian's packages: the image unpacked, and modules with what they depend on."""
import glob
import gzip
import lzma
import os
import re
import subprocess
import zlib

ELF = b"\x7fELF"


def zstd(data):
    return subprocess.run(["zstd", "-dcqf"], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False).stdout


IMAGES = (
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(data)),
    (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data)),
    (b"\x28\xb5\x2f\xfd", zstd),
)
MODULES = {".xz": lzma.decompress, ".gz": gzip.decompress, ".zst": zstd, ".ko": bytes}


def bootable(path):
    """The ELF kernel inside a bzImage, which saves the guest seconds; else the image as it is."""
    with open(path, "rb") as source:
        image = source.read()
    payload = image[((image[0x1F1] or 4) + 1) * 512:]
    for magic, decompress in IMAGES:
        at = payload.find(magic)
        while at >= 0:
            try:
                kernel = decompress(payload[at:])
            except (lzma.LZMAError, zlib.error, EOFError, OSError):
                kernel = b""
            if kernel[:4] == ELF:
                return kernel
            at = payload.find(magic, at + 1)
    return image


class Modules:
    """Modules by name, from the folder of an unpacked kernel package."""

    def __init__(self, root):
        self.paths, self.bodies, self.depends = {}, {}, {}
        for below in ("lib/modules", "usr/lib/modules"):
            pattern = os.path.join(root, below, "*/kernel/**/*.ko*")
            for path in glob.glob(pattern, recursive=True):
                name = os.path.basename(path).split(".ko")[0].replace("-", "_")
                self.paths[name] = path

    def want(self, name):
        """Adds a module and its dependencies; skips one that the kernel lacks."""
        name = name.replace("-", "_")
        if name in self.bodies or name not in self.paths:
            return
        path = self.paths[name]
        with open(path, "rb") as source:
            body = MODULES[os.path.splitext(path)[1]](source.read())
        found = re.search(rb"(?:^|\x00)depends=([^\x00]*)\x00", body)
        depends = [d.replace("-", "_") for d in found.group(1).decode().split(",") if d] if found else []
        self.bodies[name], self.depends[name] = body, depends
        for other in depends:
            self.want(other)

    def add_to(self, archive, release):
        base, lines = "lib/modules/" + release, []
        for name in sorted(self.bodies):
            archive.file("%s/kernel/%s.ko" % (base, name), self.bodies[name])
            chain = "".join(" kernel/%s.ko" % other for other in self._chain(name, []))
            lines.append("kernel/%s.ko:%s\n" % (name, chain))
        archive.file(base + "/modules.dep", "".join(lines).encode())
        for name in ("modules.alias", "modules.symbols", "modules.builtin"):
            archive.file(base + "/" + name, b"")

    def _chain(self, name, chain):
        for other in self.depends.get(name, []):
            if other in self.bodies and other not in chain:
                chain.append(other)
                self._chain(other, chain)
        return chain
