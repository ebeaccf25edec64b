# nooelint: oelint.var.bbclassextend,oelint.var.suggestedvar.BUGTRACKER
SUMMARY = "IPMI and MCTP daemons for BMCs"
SUMMARY:${PN}-ipmid = "IPMI command daemon"
SUMMARY:${PN}-netipmid = "IPMI over LAN"
SUMMARY:${PN}-kcsbridged = "IPMI KCS bridge"
SUMMARY:${PN}-btbridged = "IPMI BT bridge"
SUMMARY:${PN}-ssifbridged = "IPMI SSIF bridge"
SUMMARY:${PN}-ipmbbridged = "IPMB bridge"
SUMMARY:${PN}-mctp-demuxd = "MCTP demultiplexer"
SUMMARY:${PN}-platformd = "Simulated services of a BMC"
SUMMARY:${PN}-causewayctl = "Command line of the IPMI and MCTP daemons"
DESCRIPTION = "Carries management commands between hosts, networks, satellite controllers and a BMC's services."
# That of the repository that the layer fetches.
# nooelint: oelint.vars.homepageping
HOMEPAGE = "https://${@(d.getVar('CAUSEWAY_URI') or '').split(';')[0].split('://')[-1]}"
CVE_PRODUCT = "causeway"
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# What machines ask for by this name; see the README.
PROVIDES += "virtual/obmc-host-ipmi-hw"
PV = "0.1.0+git"

# The layer sets CAUSEWAY_URI, the git repository as the fetcher takes it (git://HOST/PATH;protocol=https;branch=main),
# CAUSEWAY_REV, the commit, and CAUSEWAY_CRATES, the registry of Cargo.lock as the crate fetcher names it. The crates are
# fetched beside the repository, so their list must be there before:
# `CAUSEWAY_WRITE_CRATES=1 cargo test -p causeway --test recipe` writes that of Cargo.lock.
require causeway-crates.inc
SRC_URI =+ "${CAUSEWAY_URI};destsuffix=${BP}"
SRCREV = "${CAUSEWAY_REV}"
# A recipe whose sources are not set is skipped, and says why.
# nooelint: oelint.task.noanonpython
python () {
    for name in ("CAUSEWAY_URI", "CAUSEWAY_REV", "CAUSEWAY_CRATES"):
        if not d.getVar(name):
            raise bb.parse.SkipRecipe(name + " is not set")
}

inherit cargo features_check systemd useradd
REQUIRED_DISTRO_FEATURES = "systemd"

# One binary, which is the daemon whose name it is called by; `bmc` is the profile of Cargo.toml for a small flash.
BUILD_MODE = "--profile bmc"
CARGO_TARGET_SUBDIR = "${RUST_HOST_SYS}/bmc"
CARGO_BUILD_FLAGS += "-p causeway"
# Instructions of two and four bytes: a quarter less flash than those of four bytes.
RUSTFLAGS:append:armv7a = " -C target-feature=+thumb-mode -C force-unwind-tables=no"
RUSTFLAGS:append:armv7ve = " -C target-feature=+thumb-mode -C force-unwind-tables=no"

# The instances of the units: a network interface, and the devices of the host interfaces. Each has to be a channel in
# causeway.toml, a device with _ for -. A machine with more adds them to SYSTEMD_SERVICE.
CAUSEWAY_LAN ?= "eth0"
CAUSEWAY_KCS ?= "ipmi-kcs3"
CAUSEWAY_BT ?= "ipmi-bt-host"
CAUSEWAY_SSIF ?= "ipmi-ssif-host"
CAUSEWAY_IPMB ?= "ipmb-3"

# The operator's command line.
PACKAGECONFIG ??= ""
PACKAGECONFIG[causewayctl] = ""
CARGO_BUILD_FLAGS += "${@bb.utils.contains('PACKAGECONFIG', 'causewayctl', '--features causewayctl', '', d)}"

# A package for each daemon; ${PN} has what they share. causeway-platformd simulates the services of a BMC, for machines
# that have none, such as QEMU's.
DAEMONS = "ipmid netipmid kcsbridged btbridged ssifbridged ipmbbridged mctp-demuxd platformd"
PACKAGES =+ "\
    ${PN}-ipmid ${PN}-netipmid ${PN}-kcsbridged ${PN}-btbridged ${PN}-ssifbridged ${PN}-ipmbbridged \
    ${PN}-mctp-demuxd ${PN}-platformd ${PN}-causewayctl \
"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/causeway ${D}${bindir}/causeway
    install -d ${D}${systemd_system_unitdir} ${D}${mandir}/man5 ${D}${mandir}/man8
    for daemon in ${DAEMONS}; do
        ln -s causeway ${D}${bindir}/$daemon
        install -m 0644 ${S}/packaging/systemd/$daemon*.service ${D}${systemd_system_unitdir}/
        install -m 0644 ${S}/packaging/man/$daemon.8 ${D}${mandir}/man8/
    done
    install -m 0644 ${S}/packaging/man/causeway.8 ${D}${mandir}/man8/
    install -m 0644 ${S}/packaging/man/causeway.toml.5 ${D}${mandir}/man5/
    install -D -m 0644 ${S}/packaging/config/installed.toml ${D}${sysconfdir}/causeway/causeway.toml
    install -D -m 0644 ${S}/packaging/systemd/causeway.sysusers ${D}${nonarch_libdir}/sysusers.d/causeway.conf
    install -D -m 0644 ${S}/packaging/systemd/causeway.tmpfiles ${D}${nonarch_libdir}/tmpfiles.d/causeway.conf
    install -D -m 0644 ${S}/packaging/udev/70-causeway.rules ${D}${nonarch_base_libdir}/udev/rules.d/70-causeway.rules
    for policy in ipmid netipmid bridges operators mctp-demuxd platformd; do
        install -D -m 0644 ${S}/packaging/dbus/causeway-$policy.conf \
            ${D}${datadir}/dbus-1/system.d/causeway-$policy.conf
    done
    if ${@bb.utils.contains('PACKAGECONFIG', 'causewayctl', 'true', 'false', d)}; then
        ln -s causeway ${D}${bindir}/causewayctl
        install -m 0644 ${S}/packaging/man/causewayctl*.8 ${D}${mandir}/man8/
        install -D -m 0644 ${S}/packaging/completions/causewayctl ${D}${datadir}/bash-completion/completions/causewayctl
    fi
}

SYSTEMD_PACKAGES = "\
    ${PN}-ipmid ${PN}-netipmid ${PN}-kcsbridged ${PN}-btbridged ${PN}-ssifbridged ${PN}-ipmbbridged \
    ${PN}-mctp-demuxd ${PN}-platformd \
"
SYSTEMD_SERVICE:${PN}-ipmid = "ipmid.service"
SYSTEMD_SERVICE:${PN}-netipmid = "netipmid@${CAUSEWAY_LAN}.service"
SYSTEMD_SERVICE:${PN}-kcsbridged = "kcsbridged@${CAUSEWAY_KCS}.service"
SYSTEMD_SERVICE:${PN}-btbridged = "btbridged@${CAUSEWAY_BT}.service"
SYSTEMD_SERVICE:${PN}-ssifbridged = "ssifbridged@${CAUSEWAY_SSIF}.service"
SYSTEMD_SERVICE:${PN}-ipmbbridged = "ipmbbridged@${CAUSEWAY_IPMB}.service"
SYSTEMD_SERVICE:${PN}-mctp-demuxd = "mctp-demuxd.service"
SYSTEMD_SERVICE:${PN}-platformd = "platformd.service"

FILES:${PN}-ipmid += "${bindir}/ipmid ${systemd_system_unitdir}/ipmid.service ${datadir}/dbus-1/system.d/causeway-ipmid.conf"
FILES:${PN}-netipmid += "${bindir}/netipmid ${systemd_system_unitdir}/netipmid@.service ${datadir}/dbus-1/system.d/causeway-netipmid.conf"
FILES:${PN}-kcsbridged += "${bindir}/kcsbridged ${systemd_system_unitdir}/kcsbridged@.service"
FILES:${PN}-btbridged += "${bindir}/btbridged ${systemd_system_unitdir}/btbridged@.service"
FILES:${PN}-ssifbridged += "${bindir}/ssifbridged ${systemd_system_unitdir}/ssifbridged@.service"
FILES:${PN}-ipmbbridged += "${bindir}/ipmbbridged ${systemd_system_unitdir}/ipmbbridged@.service"
FILES:${PN}-mctp-demuxd += "${bindir}/mctp-demuxd ${systemd_system_unitdir}/mctp-demuxd.service ${datadir}/dbus-1/system.d/causeway-mctp-demuxd.conf"
FILES:${PN}-platformd += "${bindir}/platformd ${systemd_system_unitdir}/platformd.service ${datadir}/dbus-1/system.d/causeway-platformd.conf"
FILES:${PN}-causewayctl += "${bindir}/causewayctl ${datadir}/bash-completion"
FILES:${PN} += "${nonarch_libdir}/sysusers.d ${nonarch_libdir}/tmpfiles.d ${nonarch_base_libdir}/udev ${datadir}/dbus-1/system.d/causeway-bridges.conf ${datadir}/dbus-1/system.d/causeway-operators.conf"
CONFFILES:${PN} = "${sysconfdir}/causeway/causeway.toml"

RDEPENDS:${PN} = "dbus"
RDEPENDS:${PN}-ipmid = "${PN}"
RDEPENDS:${PN}-netipmid = "${PN}"
RDEPENDS:${PN}-kcsbridged = "${PN}"
RDEPENDS:${PN}-btbridged = "${PN}"
RDEPENDS:${PN}-ssifbridged = "${PN}"
RDEPENDS:${PN}-ipmbbridged = "${PN}"
RDEPENDS:${PN}-mctp-demuxd = "${PN}"
RDEPENDS:${PN}-platformd = "${PN}"
RDEPENDS:${PN}-causewayctl = "${PN}"

RPROVIDES:${PN}-kcsbridged = "virtual-obmc-host-ipmi-hw"
RPROVIDES:${PN}-btbridged = "virtual-obmc-host-ipmi-hw"
RPROVIDES:${PN}-ssifbridged = "virtual-obmc-host-ipmi-hw"

# The units of both sides conflict.
RCONFLICTS:${PN}-ipmid = "phosphor-ipmi-host"
RCONFLICTS:${PN}-netipmid = "phosphor-ipmi-net"
RCONFLICTS:${PN}-kcsbridged = "phosphor-ipmi-kcs"
RCONFLICTS:${PN}-btbridged = "phosphor-ipmi-bt"
RCONFLICTS:${PN}-ssifbridged = "phosphor-ipmi-ssif"
RCONFLICTS:${PN}-ipmbbridged = "phosphor-ipmi-ipmb"

# The binary is one, so its package has the users of all daemons, as sysusers.d has them for what is made at boot.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system ipmi-access; --system causeway; --system i2c"
USERADD_PARAM:${PN} = "\
    --system --no-create-home --shell /sbin/nologin --groups ipmi-access --user-group ipmid; \
    --system --no-create-home --shell /sbin/nologin --groups ipmi-access --user-group netipmid; \
    --system --no-create-home --shell /sbin/nologin --user-group kcsbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group btbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group ssifbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group ipmbbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group mctp-demuxd; \
    --system --no-create-home --shell /sbin/nologin --user-group platformd \
"
