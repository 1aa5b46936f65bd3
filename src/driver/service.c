/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps a target alive: cyborg-spdk-supervise in any case, so that a restart is the same
 * everywhere; started by systemd where that runs and the state is the system's own, so that it is
 * there after a reboot; as a daemon of its own otherwise.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/env.h"

#define UNIT_DIR      "/etc/systemd/system"
#define SYSTEM_DIR    "/var/lib/cyborg-spdk"
#define START_NS      (60 * NS_PER_SEC)
#define STOP_NS	      (60 * NS_PER_SEC)
#define ARGUMENTS_MAX 64

/** struct command - the command line of a supervisor */
struct command {
	char *argv[ARGUMENTS_MAX + 1];
	size_t count;
	bool failed;
};

bool service_is_systemd(const struct driver *d)
{
	return geteuid() == 0 && access("/run/systemd/system", F_OK) == 0 &&
	       !strcmp(d->dir, SYSTEM_DIR);
}

static void add(struct command *c, const char *text)
{
	char *copy = c->count < ARGUMENTS_MAX ? strdup(text) : NULL;

	if (!copy)
		c->failed = true;
	else
		c->argv[c->count++] = copy;
}

static void command_fini(struct command *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->argv[i]);
}

static void add_lines(struct command *c, const char *lines)
{
	char copy[ENV_ARGUMENTS_SIZE], *save, *line;

	_Static_assert(sizeof(((struct accelerator *)0)->arguments) <= sizeof(copy), "arguments");

	snprintf(copy, sizeof(copy), "%s", lines);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add(c, line);
}

/* @of_node: what the target is told of its memory and devices, one a line. */
static int make_command(struct command *c, const struct accelerator *a,
			const struct target_paths *p, const char *of_node, bool daemonize,
			struct error *err)
{
	char supervise[PATH_MAX];
	int rc = helper_find("cyborg-spdk-supervise", supervise, err);

	if (rc < 0)
		return rc;
	add(c, supervise);
	add(c, "--pidfile");
	add(c, p->pidfile);
	add(c, "--config");
	add(c, p->config);
	add(c, "--history");
	add(c, p->history);
	add(c, "--log");
	add(c, p->log);
	add(c, "--ready");
	add(c, p->sock);
	if (daemonize)
		add(c, "--daemon");
	add(c, "--");
	add(c, a->target);
	add(c, "-r");
	add(c, p->sock);
	add_lines(c, of_node);
	add_lines(c, a->arguments);
	return c->failed ? error_set(err, -E2BIG, "target %s has too many arguments: at most %d",
				     a->target, ARGUMENTS_MAX)
			 : 0;
}

static int run(struct driver *d, char *const argv[], uint64_t timeout_ns, struct error *err)
{
	struct child_result r;
	int rc = child_run(d->loop, argv, timeout_ns, &r, err);

	if (rc < 0)
		return rc;
	if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 0) {
		const char *said = strstr(r.err_out, ": ");

		rc = error_set(err, -EHOSTDOWN, "%.*s",
			       (int)strcspn(said ? said + 2 : r.err_out, "\0"),
			       said ? said + 2 : r.err_out);
		for (size_t n = err ? strlen(err->text) : 0; n && err->text[n - 1] == '\n'; n--)
			err->text[n - 1] = '\0';
	}
	child_result_fini(&r);
	return rc;
}

static int systemctl(struct driver *d, const char *verb, const char *unit, struct error *err)
{
	char *argv[] = { (char *)"systemctl", (char *)verb, (char *)unit, NULL };

	return run(d, argv, STOP_NS, err);
}

static void unit_name(const char *id, char *out, size_t size)
{
	snprintf(out, size, "cyborg-spdk-%s.service", id);
}

/* systemd.service(5): quotes and backslashes are escaped, % doubled, and in a command $ too. */
static void write_quoted(FILE *f, const char *text, bool command)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		if (*text == '%' || (command && *text == '$'))
			fputc(*text, f);
		fputc(*text, f);
	}
	fputs("\" ", f);
}

/*
 * Root without what it does not need: the backing may be another user's file; an SPDK locks memory
 * and asks for physical addresses of hugepages. CPU time and memory are the target's business.
 */
static void write_hardening(FILE *f, const struct driver *d, const struct accelerator *a,
			    const struct environment *e)
{
	char folder[PATH_MAX + STATE_ID_SIZE + 16], file[PATH_MAX + 1];

	fprintf(f, "CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE%s\n",
		e->memory == ENV_MEMORY_OWN ? "" : " CAP_IPC_LOCK CAP_SYS_ADMIN CAP_SYS_NICE");
	snprintf(folder, sizeof(folder), "%s/targets/%s", d->dir, a->id);
	snprintf(file, sizeof(file), "-%s", a->path);
	fputs("NoNewPrivileges=yes\nUMask=0077\nProtectSystem=strict\nProtectHome=read-only\n"
	      "ReadWritePaths=-/run/lock -/var/tmp -/tmp -/dev/hugepages ",
	      f);
	write_quoted(f, folder, false);
	if (!strcmp(a->kind, "file"))
		write_quoted(f, file, false);
	fputs("\nDevicePolicy=closed\n", f);
	if (!strcmp(a->kind, "device"))
		fprintf(f, "DeviceAllow=%s rw\n", a->path);
	if (e->device_count)
		fputs("DeviceAllow=char-vfio rw\nDeviceAllow=/dev/vfio/vfio rw\n", f);
	fputs("ProtectClock=yes\nProtectControlGroups=yes\nProtectHostname=yes\n"
	      "ProtectKernelLogs=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\n"
	      "LockPersonality=yes\nRestrictNamespaces=yes\nRestrictRealtime=yes\n"
	      "RestrictSUIDSGID=yes\nSystemCallArchitectures=native\n"
	      "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n",
	      f);
}

void service_unit(FILE *f, const struct driver *d, const struct accelerator *a,
		  const struct environment *e, char *const argv[])
{
	fprintf(f,
		"[Unit]\nDescription=SPDK target of the accelerator %s\n"
		"Documentation=man:cyborg-spdk(1)\n"
		"After=network-online.target local-fs.target\nWants=network-online.target\n\n"
		"[Service]\nType=notify\nNotifyAccess=main\nWatchdogSec=30\nExecStart=",
		a->id);
	for (size_t i = 0; argv[i]; i++)
		write_quoted(f, argv[i], true);
	/* Mixed: SIGTERM to the supervisor only, which forwards it and waits for the drain. */
	fputs("\nKillMode=mixed\nTimeoutStartSec=60\nTimeoutStopSec=60\nRestart=on-failure\n"
	      "RestartSec=1\nLimitMEMLOCK=infinity\nLimitNOFILE=65536\n\n",
	      f);
	write_hardening(f, d, a, e);
	fputs("\n[Install]\nWantedBy=multi-user.target\n", f);
}

static int write_unit(const struct driver *d, const struct accelerator *a,
		      const struct environment *e, const struct command *c, struct error *err)
{
	char name[96], path[PATH_MAX], tmp[PATH_MAX + 8];
	FILE *f;
	bool bad;

	unit_name(a->id, name, sizeof(name));
	snprintf(path, sizeof(path), UNIT_DIR "/%s", name);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "we");
	if (!f)
		return error_set(err, -errno, "unit file %s: %s", tmp, error_errno_text(-errno));
	service_unit(f, d, a, e, c->argv);
	bad = ferror(f) || fflush(f) != 0 || fsync(fileno(f)) < 0;
	if (fclose(f) != 0 || bad || rename(tmp, path) < 0) {
		unlink(tmp);
		return error_set(err, -EIO, "unit file %s cannot be written", path);
	}
	return 0;
}

static int wait_answer(struct driver *d, const struct target_paths *p, struct error *err)
{
	uint64_t until = clock_ns() + START_NS;
	struct client *c;
	int rc;

	while ((rc = client_connect(d->loop, p->sock, &c, err)) == -EHOSTDOWN &&
	       clock_ns() < until) {
		if (loop_sleep(d->loop, 20 * NS_PER_MSEC) < 0)
			break;
	}
	client_destroy(c);
	return rc;
}

/*
 * Pages and bindings are gone after a boot, and whether the functions are free must be looked at
 * first: what needs them is started by the agent or the next verb, not at boot.
 */
static int start_unit(struct driver *d, const struct accelerator *a, const struct environment *e,
		      const struct command *c, const struct target_paths *p, struct error *err)
{
	char name[96];
	int rc = write_unit(d, a, e, c, err);

	unit_name(a->id, name, sizeof(name));
	if (rc == 0)
		rc = systemctl(d, "daemon-reload", NULL, err);
	if (rc == 0)
		rc = systemctl(d, env_is_empty(e) ? "enable" : "disable", name, err);
	if (rc == 0)
		rc = systemctl(d, "start", name, err);
	return rc == 0 ? wait_answer(d, p, err) : rc;
}

int service_start(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		  struct error *err)
{
	struct command c = { .count = 0 };
	bool systemd = service_is_systemd(d);
	struct environment e;
	int rc = env_load(d, a->id, &e, err);

	if (rc == 0)
		rc = make_command(&c, a, p, e.arguments, !systemd, err);
	if (rc == 0 && systemd)
		rc = start_unit(d, a, &e, &c, p, err);
	else if (rc == 0)
		rc = run(d, c.argv, START_NS, err);
	command_fini(&c);
	return rc;
}

int service_start_trial(struct driver *d, const struct accelerator *a, const struct target_paths *p,
			const char *of_node, struct error *err)
{
	struct command c = { .count = 0 };
	int rc = make_command(&c, a, p, of_node, true, err);

	if (rc == 0)
		rc = run(d, c.argv, START_NS, err);
	command_fini(&c);
	return rc;
}

static int wait_gone(struct driver *d, const char *id, struct error *err)
{
	uint64_t until = clock_ns() + STOP_NS;
	pid_t supervisor, target;

	for (;;) {
		target_pids(d, id, &supervisor, &target);
		if (!supervisor)
			return 0;
		if (clock_ns() > until)
			return error_set(err, -ETIMEDOUT,
					 "the supervisor of %s (pid %d) did not leave: end it", id,
					 supervisor);
		if (loop_sleep(d->loop, 5 * NS_PER_MSEC) < 0)
			return error_set(err, -EIO, "poll failed");
	}
}

static int stop_supervisor(struct driver *d, const char *id, pid_t supervisor, struct error *err)
{
	if (kill(supervisor, SIGTERM) < 0 && errno != ESRCH)
		return error_set(err, -errno, "supervisor %d of %s: %s", supervisor, id,
				 error_errno_text(-errno));
	return wait_gone(d, id, err);
}

int service_stop_trial(struct driver *d, const char *id, struct error *err)
{
	pid_t supervisor, target;

	target_pids(d, id, &supervisor, &target);
	return supervisor ? stop_supervisor(d, id, supervisor, err) : 0;
}

int service_stop(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		 struct error *err)
{
	pid_t supervisor, target;
	char name[96];
	int rc;

	(void)p;
	target_pids(d, a->id, &supervisor, &target);
	if (!supervisor)
		return 0;
	if (!service_is_systemd(d))
		return stop_supervisor(d, a->id, supervisor, err);
	unit_name(a->id, name, sizeof(name));
	rc = systemctl(d, "stop", name, err);
	return rc < 0 ? rc : wait_gone(d, a->id, err);
}

int service_forget(struct driver *d, const char *id, struct error *err)
{
	char name[96], path[PATH_MAX];

	if (!service_is_systemd(d))
		return 0;
	unit_name(id, name, sizeof(name));
	snprintf(path, sizeof(path), UNIT_DIR "/%s", name);
	if (access(path, F_OK) < 0)
		return 0;
	if (systemctl(d, "disable", name, err) < 0)
		return err ? err->code : -EIO;
	if (unlink(path) < 0)
		return error_set(err, -errno, "unit file %s: %s", path, error_errno_text(-errno));
	return systemctl(d, "daemon-reload", NULL, err);
}
