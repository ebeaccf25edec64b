/* ipmi-receive NETFN CMD SECONDS   receives one command sent to the host's software
 * ipmi-receive event SECONDS       receives one event of the BMC's event message buffer
 *
 * through Linux's IPMI device. Prints "listening" once it would not miss one, then "NETFN CMD: DATA".
 * While it waits for an event it sends Get Device ID each second: over SSIF without an alert line the
 * driver looks for events only after a response.
 *
 * Build: cc -static -O2 -Wall -o ipmi-receive ipmi-receive.c
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <linux/ipmi.h>

static int usage(void)
{
	fprintf(stderr, "usage: ipmi-receive NETFN CMD SECONDS | event SECONDS\n");
	return 2;
}

static int failed(const char *what)
{
	perror(what);
	return 1;
}

/* Asks the driver for what the arguments name. */
static int subscribe(int device, char **argv, int events)
{
	if (events) {
		int on = 1;
		return ioctl(device, IPMICTL_SET_GETS_EVENTS_CMD, &on);
	}
	struct ipmi_cmdspec wanted = { strtoul(argv[1], NULL, 0), strtoul(argv[2], NULL, 0) };
	return ioctl(device, IPMICTL_REGISTER_FOR_CMD, &wanted);
}

/* Sends Get Device ID; the answer is left to the loop of main(). */
static int ask(int device)
{
	struct ipmi_system_interface_addr bmc = {
		.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE, .channel = IPMI_BMC_CHANNEL,
	};
	struct ipmi_req request = {
		.addr = (unsigned char *)&bmc, .addr_len = sizeof(bmc),
		.msg = { .netfn = 0x06, .cmd = 0x01 },
	};
	return ioctl(device, IPMICTL_SEND_COMMAND, &request);
}

/* Takes one message, and prints it if it is of the kind that is wanted: 1; 0 if not, -1 on failure. */
static int take(int device, int wanted)
{
	unsigned char data[IPMI_MAX_MSG_LENGTH], address[IPMI_MAX_ADDR_SIZE];
	struct ipmi_recv message = {
		.addr = address, .addr_len = sizeof(address),
		.msg = { .data = data, .data_len = sizeof(data) },
	};
	if (ioctl(device, IPMICTL_RECEIVE_MSG_TRUNC, &message))
		return -1;
	if (message.recv_type != wanted)
		return 0;
	printf("%02x %02x:", message.msg.netfn, message.msg.cmd);
	for (int i = 0; i < message.msg.data_len; i++)
		printf(" %02x", data[i]);
	printf("\n");
	return 1;
}

int main(int argc, char **argv)
{
	int events = argc == 3 && !strcmp(argv[1], "event");
	if (argc != 4 && !events)
		return usage();
	int device = open("/dev/ipmi0", O_RDWR);
	if (device < 0 || subscribe(device, argv, events))
		return failed("/dev/ipmi0");
	printf("listening\n");
	fflush(stdout);
	int taken = 0;
	time_t end = time(NULL) + atoi(argv[argc - 1]);
	while (!taken && time(NULL) < end) {
		struct pollfd ready = { device, POLLIN, 0 };
		if (poll(&ready, 1, 1000) == 1)
			taken = take(device, events ? IPMI_ASYNC_EVENT_RECV_TYPE : IPMI_CMD_RECV_TYPE);
		else if (events && ask(device))
			taken = -1;
	}
	if (taken < 0)
		return failed("/dev/ipmi0");
	if (!taken)
		fprintf(stderr, "nothing came\n");
	return !taken;
}
