/* ipmi-receive NETFN CMD SECONDS: takes one command that somebody sends to the host's software, by way
 * of Linux's IPMI device, and prints it: "NETFN CMD: DATA".
 *
 * Build: cc -static -O2 -Wall -o ipmi-receive ipmi-receive.c
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/ipmi.h>

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: ipmi-receive NETFN CMD SECONDS\n");
		return 2;
	}
	struct ipmi_cmdspec wanted = { strtoul(argv[1], NULL, 0), strtoul(argv[2], NULL, 0) };
	int device = open("/dev/ipmi0", O_RDWR);
	if (device < 0 || ioctl(device, IPMICTL_REGISTER_FOR_CMD, &wanted)) {
		perror("/dev/ipmi0");
		return 1;
	}
	struct pollfd ready = { device, POLLIN, 0 };
	if (poll(&ready, 1, atoi(argv[3]) * 1000) != 1) {
		fprintf(stderr, "nothing came\n");
		return 1;
	}
	unsigned char data[IPMI_MAX_MSG_LENGTH], address[IPMI_MAX_ADDR_SIZE];
	struct ipmi_recv message = {
		.addr = address, .addr_len = sizeof(address),
		.msg = { .data = data, .data_len = sizeof(data) },
	};
	if (ioctl(device, IPMICTL_RECEIVE_MSG_TRUNC, &message)) {
		perror("receive");
		return 1;
	}
	printf("%02x %02x:", message.msg.netfn, message.msg.cmd);
	for (int i = 0; i < message.msg.data_len; i++)
		printf(" %02x", data[i]);
	printf("\n");
	return 0;
}
