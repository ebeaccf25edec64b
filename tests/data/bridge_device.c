/* Loaded before a bridge: the device that it opens is a message based socket in the test's folder.
 *
 * BRIDGE_FOLDER is the folder, in which the bridge then works, and BRIDGE_DEVICE the socket's name: whatever path
 * ends in it is the socket. A file that is read is the one of its name in the folder, if there is one. The
 * ioctls of a host interface (magic B1h) succeed, and are printed on stderr. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_US = 10000, TRIES = 3000, MAGIC = 0xb1 };

__attribute__((constructor)) static void enter(void) {
    const char *folder = getenv("BRIDGE_FOLDER");
    if (folder == NULL || chdir(folder) != 0)
        _exit(127);
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Waits until the test has plugged the device in. */
static int plugged(const char *name, int flags) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    int kind = SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0);
    int fd = socket(AF_UNIX, kind, 0);
    for (int tried = 0; fd >= 0 && tried < TRIES; tried++) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | (flags & O_NONBLOCK));
            return fd;
        }
        usleep(WAIT_US);
    }
    return -1;
}

static int opened(const char *path, int flags, mode_t mode) {
    const char *device = getenv("BRIDGE_DEVICE");
    if (device != NULL && strcmp(last_part(path), device) == 0)
        return plugged(device, flags);
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opened(path, flags, mode);
}

int __open_2(const char *path, int flags) { return opened(path, flags, 0); }

int __open64_2(const char *path, int flags) { return opened(path, flags, 0); }

static FILE *read_from(const char *symbol, const char *path, const char *mode) {
    const char *name = last_part(path);
    FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, symbol);
    return real(access(name, R_OK) == 0 ? name : path, mode);
}

FILE *fopen(const char *path, const char *mode) { return read_from("fopen", path, mode); }

FILE *fopen64(const char *path, const char *mode) { return read_from("fopen64", path, mode); }

int ioctl(int fd, unsigned long request, ...) {
    static const char *const done[] = {"attention up", "attention down", "abort"};
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if ((request >> 8 & 0xff) == MAGIC && (request & 0xff) < 3) {
        fprintf(stderr, "%s\n", done[request & 0xff]);
        return 0;
    }
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}
