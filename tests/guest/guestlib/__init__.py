"""Modules that the guest programs share: archives, Debian packages, QEMU's command line."""
