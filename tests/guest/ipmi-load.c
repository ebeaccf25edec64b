/* ipmi-load SECONDS: asks the BMC Get Device ID by way of Linux's IPMI device, one request after the other, and
 * prints how many were answered, how many of them with another completion code than 00, and the time.
 * Prints "begin" and "end" around it.
 *
 * Build: cc -static -O2 -Wall -o ipmi-load ipmi-load.c
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <linux/ipmi.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* The completion code of Get Device ID; -1 when there is no answer. */
static int ask(int device, long id)
{
	struct ipmi_system_interface_addr bmc = {
		.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE, .channel = IPMI_BMC_CHANNEL,
	};
	struct ipmi_req request = {
		.addr = (unsigned char *)&bmc, .addr_len = sizeof(bmc), .msgid = id,
		.msg = { .netfn = 0x06, .cmd = 0x01 },
	};
	unsigned char data[IPMI_MAX_MSG_LENGTH], address[IPMI_MAX_ADDR_SIZE];
	struct ipmi_recv answer = {
		.addr = address, .addr_len = sizeof(address),
		.msg = { .data = data, .data_len = sizeof(data) },
	};
	struct pollfd ready = { device, POLLIN, 0 };
	if (ioctl(device, IPMICTL_SEND_COMMAND, &request) || poll(&ready, 1, 20000) != 1)
		return -1;
	if (ioctl(device, IPMICTL_RECEIVE_MSG_TRUNC, &answer) || answer.msgid != id)
		return -1;
	return data[0];
}

int main(int argc, char **argv)
{
	int device = open("/dev/ipmi0", O_RDWR);
	if (argc != 2 || device < 0) {
		fprintf(stderr, "usage: ipmi-load SECONDS, with a /dev/ipmi0\n");
		return 2;
	}
	long count = 0, refused = 0;
	printf("begin\n");
	fflush(stdout);
	double began = now(), end = began + atof(argv[1]);
	while (now() < end) {
		int code = ask(device, count);
		if (code < 0) {
			perror("no answer");
			return 1;
		}
		count++;
		refused += code != 0;
	}
	printf("end\n%ld requests, %ld refused, %.3f s\n", count, refused, now() - began);
	return 0;
}
