SUMMARY = "IPMI and MCTP daemons for BMCs"
DESCRIPTION = "Carries management commands between hosts, networks, satellite controllers and a BMC's services."
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The layer sets CAUSEWAY_URI, the git repository as the fetcher takes it (git://HOST/PATH;protocol=https;branch=main),
# CAUSEWAY_REV, the commit, and CAUSEWAY_CRATES, the registry of Cargo.lock as the crate fetcher names it. The crates are
# fetched beside the repository, so their list must be there before:
# `CAUSEWAY_WRITE_CRATES=1 cargo test -p causeway --test recipe` writes that of Cargo.lock.
require causeway-crates.inc
SRC_URI =+ "${CAUSEWAY_URI};destsuffix=${BP}"
SRCREV = "${CAUSEWAY_REV}"
PV = "0.1.0+git"
python () {
    for name in ("CAUSEWAY_URI", "CAUSEWAY_REV", "CAUSEWAY_CRATES"):
        if not d.getVar(name):
            raise bb.parse.SkipRecipe(name + " is not set")
}

inherit cargo features_check systemd useradd
REQUIRED_DISTRO_FEATURES = "systemd"

RDEPENDS:${PN} = "dbus"

# One binary, which is the daemon whose name it is called by.
CARGO_BUILD_FLAGS += "-p causeway"
DAEMONS = "ipmid netipmid kcsbridged btbridged ssifbridged ipmbbridged mctp-demuxd"

# The services of a BMC, simulated: for machines that have none, such as QEMU's.
PACKAGECONFIG ??= ""
PACKAGECONFIG[platformd] = ""
DAEMONS += "${@bb.utils.contains('PACKAGECONFIG', 'platformd', 'platformd', '', d)}"

# The operator's command line.
PACKAGECONFIG[causewayctl] = ""
CARGO_BUILD_FLAGS += "${@bb.utils.contains('PACKAGECONFIG', 'causewayctl', '--features causewayctl', '', d)}"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/causeway ${D}${bindir}/causeway
    install -d ${D}${systemd_system_unitdir}
    for daemon in ${DAEMONS}; do
        ln -s causeway ${D}${bindir}/$daemon
        install -m 0644 ${S}/packaging/systemd/$daemon*.service ${D}${systemd_system_unitdir}/
    done
    install -D -m 0644 ${S}/packaging/config/installed.toml ${D}${sysconfdir}/causeway/causeway.toml
    install -D -m 0644 ${S}/packaging/systemd/causeway.tmpfiles ${D}${nonarch_libdir}/tmpfiles.d/causeway.conf
    install -D -m 0644 ${S}/packaging/udev/70-causeway.rules ${D}${nonarch_base_libdir}/udev/rules.d/70-causeway.rules
    install -d ${D}${mandir}/man5 ${D}${mandir}/man8
    install -m 0644 ${S}/packaging/man/*.5 ${D}${mandir}/man5/
    install -m 0644 ${S}/packaging/man/*.8 ${D}${mandir}/man8/
    if ${@bb.utils.contains('PACKAGECONFIG', 'causewayctl', 'true', 'false', d)}; then
        ln -s causeway ${D}${bindir}/causewayctl
        install -D -m 0644 ${S}/packaging/completions/causewayctl ${D}${datadir}/bash-completion/completions/causewayctl
    else
        rm ${D}${mandir}/man8/causewayctl*
    fi
    for policy in ipmid netipmid bridges operators mctp-demuxd ${@bb.utils.filter('PACKAGECONFIG', 'platformd', d)}; do
        install -D -m 0644 ${S}/packaging/dbus/causeway-$policy.conf \
            ${D}${datadir}/dbus-1/system.d/causeway-$policy.conf
    done
}

SYSTEMD_SERVICE:${PN} = "ipmid.service netipmid@eth0.service"
FILES:${PN} += "${systemd_system_unitdir} ${nonarch_libdir}/tmpfiles.d ${nonarch_base_libdir}/udev ${datadir}/dbus-1 ${datadir}/bash-completion"
CONFFILES:${PN} = "${sysconfdir}/causeway/causeway.toml"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system ipmi-access; --system causeway; --system i2c"
USERADD_PARAM:${PN} = " \
    --system --no-create-home --shell /sbin/nologin --groups ipmi-access --user-group ipmid; \
    --system --no-create-home --shell /sbin/nologin --groups ipmi-access --user-group netipmid; \
    --system --no-create-home --shell /sbin/nologin --user-group kcsbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group btbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group ssifbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group ipmbbridged; \
    --system --no-create-home --shell /sbin/nologin --user-group mctp-demuxd; \
    --system --no-create-home --shell /sbin/nologin --user-group platformd \
"

# The daemons can be replaced one by one, then without this line: the units of both sides conflict.
RCONFLICTS:${PN} = "phosphor-ipmi-host phosphor-ipmi-net"
