/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that are programs of their own, started as git does: what needs a room of the engine is not
 * linked in here.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const struct cli_extern cli_externs[] = {
	{ "blob", "cyborg-spdk-blob", "inspect, check, repair, create stores on images, offline" },
	{ "agent", "cyborg-spdk-agent", "look after the accelerators, serve metrics and status" },
	{ NULL, NULL, NULL },
};

/* Beside this program, and in libexec of the same installation. */
static void run_near(const char *folder, const char *name, char **argv)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n < 0)
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s%s", folder,
			       name) >= (int)(sizeof(path) - (size_t)(slash + 1 - path)))
		return;
	execv(path, argv);
}

enum cli_exit cli_extern_run(const struct cli_extern *e, char **argv)
{
	fflush(stdout);
	argv[0] = (char *)(uintptr_t)e->program;
	run_near("", e->program, argv);
	run_near("../libexec/cyborg-spdk/", e->program, argv);
	execvp(e->program, argv);
	fprintf(stderr,
		"cyborg-spdk: program %s was not found beside this one, in libexec or in PATH: %s; "
		"install it\n",
		e->program, strerror(errno));
	return errno == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_FAILURE;
}
