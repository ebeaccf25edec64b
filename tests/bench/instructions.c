/* instructions: a plugin for QEMU that counts the instructions that a guest executes, in a file of eight bytes that others
 * can read at any time. Build: cc -shared -fPIC -O2 -o libinstructions.so instructions.c; use: qemu-system-arm -plugin
 * ./libinstructions.so,count=COUNT ... The declarations are those of QEMU's plugin interface, version 1 (qemu-plugin.h),
 * which no Debian package has. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*callback)(unsigned int processor, void *user),
                                          enum qemu_plugin_cb_flags flags, void *user);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t *count;

// A processor of the guest is a thread of QEMU, so an addition without a lock would lose some.
static void executed(unsigned int processor, void *instructions) {
    (void)processor;
    __atomic_fetch_add(count, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    const char *path = NULL;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "count=", 6) == 0)
            path = argv[i] + 6;
    int file = path ? open(path, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof *count) != 0) {
        fprintf(stderr, "instructions: count=PATH is needed\n");
        return 1;
    }
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (count == MAP_FAILED)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
