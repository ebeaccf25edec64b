/* i2c-patience BUS SECONDS: how long the driver of an I2C bus waits for a transfer.
 *
 * Linux's i801 driver waits 200 ms. Over SSIF in a guest a transfer takes as long as the BMC's response, and
 * the guest's processor may be stopped meanwhile (answer-first.c).
 *
 * Build: cc -static -O2 -Wall -o i2c-patience i2c-patience.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/i2c-dev.h>

#define PER_SECOND 100 /* I2C_TIMEOUT counts units of 10 ms */

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: i2c-patience BUS SECONDS\n");
		return 2;
	}
	int bus = open(argv[1], O_RDWR);
	if (bus < 0 || ioctl(bus, I2C_TIMEOUT, strtoul(argv[2], NULL, 0) * PER_SECOND)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
