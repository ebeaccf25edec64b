/* answer-first.so: has QEMU take the BMC's answer before its guest, which asked over SSIF, can look for it.
 *
 * QEMU's SSIF device gives a guest that reads before the answer is there the last response once more, where
 * hardware stretches the clock or does not acknowledge. Two functions are taken over:
 *
 * - sendmsg(): the guest's processor is in it when its request goes out, and goes on when the answer is in the
 *   socket. Its next look at the bus is a timer's matter, and i2c-patience.c has it look that late.
 * - g_main_context_check(): QEMU's main loop polls, waits for the lock that the processor holds meanwhile,
 *   handles what the poll had found, and runs its timers. What was found then is older than the answer; so it
 *   polls once more when it has the lock.
 *
 * Build: cc -shared -fPIC -O2 -Wall -o answer-first.so answer-first.c    Use: LD_PRELOAD
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define END_OF_MESSAGE 0xa0 /* never within one: it is escaped there */
#define LONGEST_WAIT 60000  /* ms; a BMC that is there answers in time, and one that is not hangs up */

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Whether the last byte of the `sent` ones ends a request. */
static int ends_request(const struct msghdr *message, size_t sent)
{
	for (size_t at = 0; at < message->msg_iovlen; at++) {
		const struct iovec *part = &message->msg_iov[at];
		if (sent <= part->iov_len)
			return ((const unsigned char *)part->iov_base)[sent - 1] == END_OF_MESSAGE;
		sent -= part->iov_len;
	}
	return 0;
}

/* Whether there is an answer, or never will be. */
static int is_over(int bmc)
{
	unsigned char bytes[4096];
	ssize_t count = recv(bmc, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	return count <= 0 || memchr(bytes, END_OF_MESSAGE, count);
}

static void await_answer(int bmc)
{
	const struct timespec pause = { 0, 200000 };
	long end = now() + LONGEST_WAIT;
	for (long left = LONGEST_WAIT; left > 0; left = end - now()) {
		struct pollfd ready = { bmc, POLLIN, 0 };
		if (poll(&ready, 1, left) != 1 || is_over(bmc))
			break;
		nanosleep(&pause, NULL); /* part of an answer, or attention */
	}
}

/* GLib's, whose GPollFD is a struct pollfd. */
int g_main_context_check(void *context, int priority, struct pollfd *found, int count)
{
	static int (*real)(void *, int, struct pollfd *, int);
	if (!real)
		real = dlsym(RTLD_NEXT, "g_main_context_check");
	poll(found, count, 0);
	return real(context, priority, found, count);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);
	if (!real)
		real = dlsym(RTLD_NEXT, "sendmsg");
	ssize_t sent = real(socket, message, flags);
	if (sent > 0 && ends_request(message, sent))
		await_answer(socket);
	return sent;
}
