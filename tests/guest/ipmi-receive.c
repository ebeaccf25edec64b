/* ipmi-receive NETFN CMD SECONDS   takes one command that somebody sends to the host's software
 * ipmi-receive event SECONDS       takes one event of the BMC's event message buffer
 *
 * by way of Linux's IPMI device. Prints "listening" once it would not miss one, then "NETFN CMD: DATA".
 *
 * Build: cc -static -O2 -Wall -o ipmi-receive ipmi-receive.c
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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
	struct pollfd ready = { device, POLLIN, 0 };
	if (poll(&ready, 1, atoi(argv[argc - 1]) * 1000) != 1) {
		fprintf(stderr, "nothing came\n");
		return 1;
	}
	unsigned char data[IPMI_MAX_MSG_LENGTH], address[IPMI_MAX_ADDR_SIZE];
	struct ipmi_recv message = {
		.addr = address, .addr_len = sizeof(address),
		.msg = { .data = data, .data_len = sizeof(data) },
	};
	if (ioctl(device, IPMICTL_RECEIVE_MSG_TRUNC, &message))
		return failed("receive");
	printf("%02x %02x:", message.msg.netfn, message.msg.cmd);
	for (int i = 0; i < message.msg.data_len; i++)
		printf(" %02x", data[i]);
	printf("\n");
	return 0;
}
