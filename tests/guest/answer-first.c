/* answer-first.so: makes QEMU read the BMC's response before its guest, which sent a request over SSIF, polls for it.
 *
 * QEMU's SSIF device returns the last response once more to a guest that reads before the response is there;
 * hardware stretches the clock or does not acknowledge. Two functions are replaced:
 *
 * - sendmsg(): the guest's processor is in it when its request goes out, and continues when the response is in the
 *   socket. The guest polls the bus by timer, and i2c-patience.c makes it wait that long.
 * - g_main_context_check(): QEMU's main loop polls, waits for the lock that the processor holds meanwhile,
 *   handles the result of the poll, and runs its timers. That result is older than the response; so it
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
#define LONGEST_WAIT 60000  /* ms; a running BMC responds in time, and a stopped one hangs up */

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
