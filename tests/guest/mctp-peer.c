/* mctp-peer: Linux's own MCTP stack at work in a guest, and a client of the demultiplexer socket as
 * users of libmctp write it.
 *
 *   mctp-peer attach TTY EID PEER      line discipline N_MCTP on TTY, link up, local EID, route to
 *                                      PEER; stays in the background and holds TTY
 *   mctp-peer ask EID TYPE LEN         a request through an AF_MCTP socket; the response has to be the
 *                                      request with each byte inverted
 *   mctp-peer serve TYPE COUNT OWN     answers COUNT requests from an AF_MCTP socket so, and waits for one
 *                                      message more, by which the peer confirms that it has received them all
 *   mctp-peer client-ask EID TYPE LEN  the same two through the abstract socket mctp-demux, or mctp-mux; OWN
 *   mctp-peer client-serve TYPE COUNT OWN   is the local EID, which is used to test whether requests arrive; 0 where
 *                                      the kernel has none: then there is no such test
 *   mctp-peer pldm-ask EID COUNT 0     COUNT PLDM GetTID requests through an AF_MCTP socket, one after the other
 *   mctp-peer pldm-serve 1 COUNT OWN   answers COUNT of them
 *   mctp-peer client-nvme EID COUNT 0  COUNT NVMe-MI requests through the abstract socket, each of which has to
 *                                      be answered by "more processing required" and then by success
 *
 * LEN and the requests' bytes do not count the type byte. Build: cc -static -O2 -o mctp-peer mctp-peer.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_addr.h>
#include <linux/mctp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#ifndef AF_MCTP
#define AF_MCTP 45
#endif
#ifndef N_MCTP
#define N_MCTP 28
#endif
#define MOST 65536
#define TIMEOUT_S 300

static uint8_t request[2 + MOST], answer[2 + MOST];

static void fail(const char *what)
{
	fprintf(stderr, "mctp-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- network links ---- */

struct message {
	struct nlmsghdr header;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	} body;
	char attributes[64];
};

static void put(struct message *m, int kind, const void *value, int len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->header.nlmsg_len));
	a->rta_type = kind;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), value, len);
	m->header.nlmsg_len = NLMSG_ALIGN(m->header.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static void start(struct message *m, int kind, int flags, size_t body)
{
	memset(m, 0, sizeof *m);
	m->header.nlmsg_type = kind;
	m->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m->header.nlmsg_len = NLMSG_LENGTH(body);
}

static void carry_out(struct message *m, const char *what)
{
	char reply[4096];
	struct nlmsghdr *header = (void *)reply;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (s < 0 || send(s, m, m->header.nlmsg_len, 0) < 0 || recv(s, reply, sizeof reply, 0) < 0)
		fail(what);
	errno = header->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(header))->error : EPROTO;
	if (errno)
		fail(what);
	close(s);
}

static void attach(const char *path, uint8_t own, uint8_t peer)
{
	int discipline = N_MCTP, fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios mode;
	struct message m;
	uint32_t interface, queue = 4 * MOST / 64;
	if (fd < 0 || tcgetattr(fd, &mode))
		fail(path);
	cfmakeraw(&mode);
	mode.c_cflag |= CLOCAL | CREAD;
	if (tcsetattr(fd, TCSANOW, &mode) || ioctl(fd, TIOCSETD, &discipline))
		fail("N_MCTP");
	interface = if_nametoindex("mctpserial0");
	if (!interface)
		fail("mctpserial0");
	start(&m, RTM_NEWLINK, 0, sizeof m.body.link);
	m.body.link.ifi_index = interface;
	m.body.link.ifi_flags = m.body.link.ifi_change = IFF_UP;
	put(&m, IFLA_TXQLEN, &queue, sizeof queue); /* the packets of the largest message, and more */
	carry_out(&m, "link up");
	start(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof m.body.address);
	m.body.address.ifa_family = AF_MCTP;
	m.body.address.ifa_index = interface;
	put(&m, IFA_LOCAL, &own, 1);
	carry_out(&m, "local EID");
	start(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof m.body.route);
	m.body.route.rtm_family = AF_MCTP;
	m.body.route.rtm_type = RTN_UNICAST;
	put(&m, RTA_DST, &peer, 1);
	put(&m, RTA_OIF, &interface, sizeof interface);
	carry_out(&m, "route");
	printf("attached\n");
	fflush(stdout);
	if (fork())
		_exit(0);
	setsid();
	dup2(open("/dev/null", O_RDWR), 0);
	dup2(0, 1);
	dup2(0, 2);
	for (;;)
		pause();
}

/* ---- messages, by either way ---- */

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = i * 7 + i / 251 + len;
}

static void invert(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = ~bytes[i];
}

static int patient(int s)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	int size = 4 * MOST;
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit))
		fail("socket");
	setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return s;
}

static int kernel_socket(void)
{
	return patient(socket(AF_MCTP, SOCK_DGRAM, 0));
}

static void kernel_ask(uint8_t eid, uint8_t kind, size_t len)
{
	struct sockaddr_mctp to = { .smctp_family = AF_MCTP, .smctp_network = MCTP_NET_ANY, .smctp_type = kind };
	int s = kernel_socket();
	ssize_t got;
	to.smctp_addr.s_addr = eid;
	to.smctp_tag = MCTP_TAG_OWNER;
	fill(request, len);
	if (sendto(s, request, len, 0, (void *)&to, sizeof to) < 0)
		fail("sendto");
	got = recv(s, answer, sizeof answer, 0);
	if (got < 0)
		fail("no answer");
	invert(request, len);
	if ((size_t)got != len || memcmp(request, answer, len)) {
		errno = EBADMSG;
		fail("answer");
	}
}

static void serving(void)
{
	printf("serving\n");
	fflush(stdout);
}

static void kernel_serve(uint8_t kind, int count)
{
	struct sockaddr_mctp peer = { .smctp_family = AF_MCTP, .smctp_network = MCTP_NET_ANY, .smctp_type = kind };
	int s = kernel_socket();
	peer.smctp_addr.s_addr = MCTP_ADDR_ANY;
	if (bind(s, (void *)&peer, sizeof peer))
		fail("bind");
	serving();
	for (;;) {
		socklen_t len = sizeof peer;
		ssize_t got = recvfrom(s, request, sizeof request, 0, (void *)&peer, &len);
		if (got < 0)
			fail("no request");
		if (count-- == 0)
			return;
		invert(request, got);
		peer.smctp_tag &= ~MCTP_TAG_OWNER;
		if (sendto(s, request, got, 0, (void *)&peer, sizeof peer) < 0)
			fail("sendto");
	}
}

static int client_socket(uint8_t kind)
{
	static const char *const names[] = { "mctp-demux", "mctp-mux" };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = patient(socket(AF_UNIX, SOCK_SEQPACKET, 0)), tries = 200;
	size_t len;
	do {
		if (!tries--)
			fail("mctp-demux");
		len = strlen(names[tries % 2]);
		memcpy(address.sun_path + 1, names[tries % 2], len);
		usleep(25000);
	} while (connect(s, (void *)&address, sizeof address.sun_family + 1 + len));
	if (send(s, &kind, 1, 0) != 1)
		fail("registration");
	return s;
}

static void client_ask(uint8_t eid, uint8_t kind, size_t len)
{
	int s = client_socket(kind);
	ssize_t got;
	request[0] = eid;
	request[1] = kind;
	fill(request + 2, len);
	if (send(s, request, 2 + len, 0) < 0)
		fail("send");
	got = recv(s, answer, sizeof answer, 0);
	if (got < 0)
		fail("no answer");
	invert(request + 2, len);
	if ((size_t)got != 2 + len || memcmp(request, answer, 2 + len)) {
		errno = EBADMSG;
		fail("answer");
	}
}

/* Waits until the demultiplexer has registered `s` for that type: the kernel, asked for its own endpoint,
 * refuses until a program takes requests of the type. The question comes to `s`. */
static void await_registration(int s, uint8_t kind, uint8_t own)
{
	struct sockaddr_mctp to = { .smctp_family = AF_MCTP, .smctp_network = MCTP_NET_ANY, .smctp_type = kind };
	int asking = kernel_socket();
	to.smctp_addr.s_addr = own;
	to.smctp_tag = MCTP_TAG_OWNER;
	while (sendto(asking, "", 0, 0, (void *)&to, sizeof to) < 0)
		if (errno != ENOENT || usleep(50000))
			fail("own endpoint");
	if (recv(s, request, sizeof request, 0) != 2 || request[0] != own)
		fail("no registration");
	close(asking);
}

static void client_serve(uint8_t kind, int count, uint8_t own)
{
	int s = client_socket(kind);
	if (own)
		await_registration(s, kind, own);
	serving();
	for (;;) {
		ssize_t got = recv(s, request, sizeof request, 0);
		if (got < 2)
			fail("no request");
		if (count-- == 0)
			return;
		invert(request + 2, got - 2);
		if (send(s, request, got, 0) < 0)
			fail("send");
	}
}

/* PLDM GetTID: instance id with Rq, type 0, command 2; answered with completion code 0 and a TID. */
static void pldm_ask(uint8_t eid, int count)
{
	struct sockaddr_mctp to = { .smctp_family = AF_MCTP, .smctp_network = MCTP_NET_ANY, .smctp_type = 1 };
	int s = kernel_socket();
	to.smctp_addr.s_addr = eid;
	to.smctp_tag = MCTP_TAG_OWNER;
	for (int i = 0; i < count; i++) {
		uint8_t ask[] = { 0x80 | i % 32, 0, 2 };
		if (sendto(s, ask, sizeof ask, 0, (void *)&to, sizeof to) < 0)
			fail("sendto");
		if (recv(s, answer, sizeof answer, 0) != 5 || answer[0] != i % 32 || answer[2] != 2 || answer[3])
			fail("PLDM answer");
	}
}

static void pldm_serve(int count)
{
	struct sockaddr_mctp peer = { .smctp_family = AF_MCTP, .smctp_network = MCTP_NET_ANY, .smctp_type = 1 };
	int s = kernel_socket();
	peer.smctp_addr.s_addr = MCTP_ADDR_ANY;
	if (bind(s, (void *)&peer, sizeof peer))
		fail("bind");
	serving();
	while (count-- > 0) {
		socklen_t len = sizeof peer;
		if (recvfrom(s, request, sizeof request, 0, (void *)&peer, &len) != 3)
			fail("PLDM request");
		uint8_t reply[] = { request[0] & 0x1f, request[1], request[2], 0, 7 };
		peer.smctp_tag &= ~MCTP_TAG_OWNER;
		if (sendto(s, reply, sizeof reply, 0, (void *)&peer, sizeof peer) < 0)
			fail("sendto");
	}
}

/* NVMe-MI: an MI command of slot 0, and the two answers to it (status in the fifth byte). */
static void client_nvme(uint8_t eid, int count)
{
	static const uint8_t command[] = { 0x84, 0x08, 0, 0, 1, 0, 0, 0 };
	int s = client_socket(command[0]);
	request[0] = eid;
	memcpy(request + 1, command, sizeof command);
	while (count-- > 0) {
		if (send(s, request, 1 + sizeof command, 0) < 0)
			fail("send");
		for (int more = 1; more >= 0; more--) {
			ssize_t got = recv(s, answer, sizeof answer, 0);
			if (got < 6 || answer[0] != eid || answer[2] != 0x88 || answer[5] != more) {
				errno = got < 0 ? errno : EBADMSG;
				fail(more ? "more processing required" : "success");
			}
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long n[3] = { 0 };
	for (int i = 2; i < argc && i < 5; i++)
		n[i - 2] = strtoul(argv[i], NULL, 0);
	if (argc == 5 && !strcmp(argv[1], "attach"))
		attach(argv[2], n[1], n[2]);
	else if (argc == 5 && n[2] < MOST && !strcmp(argv[1], "ask"))
		kernel_ask(n[0], n[1], n[2]);
	else if (argc == 5 && !strcmp(argv[1], "serve"))
		kernel_serve(n[0], n[1]);
	else if (argc == 5 && n[2] < MOST && !strcmp(argv[1], "client-ask"))
		client_ask(n[0], n[1], n[2]);
	else if (argc == 5 && !strcmp(argv[1], "pldm-ask"))
		pldm_ask(n[0], n[1]);
	else if (argc == 5 && !strcmp(argv[1], "pldm-serve"))
		pldm_serve(n[1]);
	else if (argc == 5 && !strcmp(argv[1], "client-nvme"))
		client_nvme(n[0], n[1]);
	else if (argc == 5 && !strcmp(argv[1], "client-serve"))
		client_serve(n[0], n[1], n[2]);
	else {
		fprintf(stderr, "usage: at the top of mctp-peer.c\n");
		return 2;
	}
	return 0;
}
