"""Debian packages, downloaded and unpacked without being installed."""
import glob
import os
import re
import subprocess


class Failed(Exception):
    """A program failed that has to succeed."""


def run(*command, cwd=None):
    """The output of a program that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("%s: %s" % (" ".join(command[:4]), done.stderr.strip()[-2000:]))
    return done.stdout


class Packages:
    """The packages of one architecture. Another than this machine's gets package lists of its own
    below `folder`, so that nothing about this machine changes."""

    def __init__(self, folder, architecture=None):
        self.folder = os.path.join(folder, "debs")
        self.options = ["-o", "APT::Sandbox::User=root"]
        os.makedirs(self.folder, exist_ok=True)
        if architecture and architecture != run("dpkg", "--print-architecture").strip():
            state = os.path.join(folder, "apt-" + architecture)
            for below in ("lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(state, below), exist_ok=True)
            self.options += ["-o", "APT::Architecture=" + architecture,
                             "-o", "APT::Architectures::=" + architecture,
                             "-o", "Dir::State=" + state, "-o", "Dir::State::status=/dev/null",
                             "-o", "Dir::Cache=" + os.path.join(state, "cache")]
            self._update(os.path.join(state, "lists"))
        elif os.geteuid() == 0:
            self._update("/var/lib/apt/lists")

    def _update(self, lists):
        """Downloads the package lists if they are missing."""
        if not glob.glob(os.path.join(lists, "*Packages*")):
            # Lists of some archives may be missing; a package that is not found says so below.
            subprocess.run(["apt-get", *self.options, "-q", "update"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _depends(self, *arguments):
        return run("apt-cache", *self.options, "depends", *arguments)

    def behind(self, package):
        """The package that a meta package stands for."""
        for _ in range(4):
            found = re.findall(r"^\s*\|?Depends: (linux-image-\S+)", self._depends(package), re.M)
            if not found:
                break
            package = found[0]
        return package

    def with_libraries(self, packages):
        """The packages and all libraries that these, and the libraries themselves, need."""
        kinds = "recommends suggests conflicts breaks replaces enhances".split()
        listed = self._depends("--recurse", *["--no-" + kind for kind in kinds], *packages)
        needs, alternative = {}, False
        for line in listed.splitlines():
            if not line.startswith(" "):
                needed, alternative = needs.setdefault(line, []), False
            elif found := re.match(r"\s*(\|?)(?:Pre)?Depends: (\S+)$", line):
                if not alternative:  # of several, the first
                    needed.append(found[2])
                alternative = bool(found[1])
        wanted, libraries = list(packages), set()
        while wanted:
            found = {n for n in needs.get(wanted.pop(), []) if n.startswith("lib")} - libraries - set(packages)
            libraries |= found
            wanted += found
        return [*packages, *sorted(libraries)]

    def fetch(self, packages):
        """The files of the packages, by name; downloaded unless they exist completely."""
        sizes = self._sizes(packages)

        def whole(package):
            found = glob.glob(os.path.join(self.folder, package + "_*.deb"))
            return next((f for f in found if os.path.getsize(f) == sizes[package]), None)

        missing = [package for package in packages if not whole(package)]
        if missing:
            run("apt-get", *self.options, "-q", "download", *missing, cwd=self.folder)
        files = {package: whole(package) for package in packages}
        for package, path in files.items():
            if not path:
                raise Failed("%s did not arrive whole" % package)
        return files

    def _sizes(self, packages):
        """The size of each package's file."""
        shown = run("apt-cache", *self.options, "show", "--no-all-versions", *packages)
        sizes = {}
        for entry in shown.split("\n\n"):
            name, size = (re.search(r"^%s: (\S+)$" % field, entry, re.M) for field in ("Package", "Size"))
            if name and size:
                sizes.setdefault(name.group(1), int(size.group(1)))
        for package in packages:
            if package not in sizes:
                raise Failed("no Debian package %s (apt-get update?)" % package)
        return sizes


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    run("dpkg", "-x", path, folder)
