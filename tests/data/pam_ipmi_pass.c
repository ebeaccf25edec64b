/* A PAM module for the tests: hands the new password to a program on its standard input.
 *
 * password required /path/pam_ipmi_pass.so PROGRAM ROOT
 *
 * runs PROGRAM ROOT USER. Declared here is what it needs of Linux-PAM, whose headers need not be
 * installed. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct pam_handle pam_handle_t;
int pam_get_user(pam_handle_t *, const char **, const char *);
int pam_get_authtok(pam_handle_t *, int, const char **, const char *);

enum { SUCCESS = 0, SYSTEM_ERR = 4, AUTHTOK_ERR = 20, AUTHTOK = 6, PRELIM_CHECK = 0x4000 };

int pam_sm_chauthtok(pam_handle_t *handle, int flags, int argc, const char **argv) {
    const char *user, *password;
    int ends[2], status;
    if (flags & PRELIM_CHECK)
        return SUCCESS;
    if (argc != 2 || pam_get_user(handle, &user, NULL) != SUCCESS)
        return SYSTEM_ERR;
    if (pam_get_authtok(handle, AUTHTOK, &password, NULL) != SUCCESS)
        return AUTHTOK_ERR;
    if (strcmp(password, "password") == 0)
        return AUTHTOK_ERR; /* as a check of its quality would say */
    if (pipe(ends) != 0)
        return SYSTEM_ERR;
    pid_t child = fork();
    if (child < 0)
        return SYSTEM_ERR;
    if (child == 0) {
        dup2(ends[0], 0);
        close(ends[0]);
        close(ends[1]);
        execl(argv[0], argv[0], argv[1], user, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    ssize_t written = write(ends[1], password, strlen(password));
    close(ends[1]);
    if (waitpid(child, &status, 0) != child || status != 0 || written < 0)
        return SYSTEM_ERR;
    return SUCCESS;
}
