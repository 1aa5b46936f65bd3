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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/env.h"

#define UNIT_DIR       "/etc/systemd/system"
#define SYSTEM_DIR     "/var/lib/cyborg-spdk"
#define START_NS       (60 * NS_PER_SEC)
#define STOP_NS	       (60 * NS_PER_SEC)
#define SYSTEMCTL_NS   (150 * NS_PER_SEC) /* systemd's own limits, of the unit, end before */
#define ALIVE	       "60s" /* a target that gives no answer for so long is started anew */
#define ARGUMENTS_MAX  64
#define UNIT_NAME_SIZE 128

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
			const struct target_paths *p, const char *of_node,
			const struct environment *e, bool daemonize, struct error *err)
{
	char supervise[PATH_MAX], sockets[PATH_MAX];
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
	add(c, "--alive");
	add(c, ALIVE);
	if (e && e->sockets.group[0]) {
		add(c, "--umask"); /* the folder's access control list says who */
		add(c, "0007");
	}
	if (daemonize)
		add(c, "--daemon");
	add(c, "--");
	add(c, a->target);
	add(c, "-r");
	add(c, p->sock);
	add_lines(c, of_node);
	if (e && e->sockets.told) {
		env_sockets_folder(e, p, a->id, sockets);
		add(c, "-S");
		add(c, sockets);
	}
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

/* A reload is slow where units are many: enable and disable do without, since a daemon-reload
 * follows. */
static int systemctl(struct driver *d, const char *verb, const char *unit, struct error *err)
{
	char *argv[] = { (char *)"systemctl", (char *)"--no-reload", (char *)verb, (char *)unit,
			 NULL };

	return run(d, argv, SYSTEMCTL_NS, err);
}

/** enum unit - what systemd is given for an accelerator, by names that no other unit of ours has */
enum unit {
	UNIT_TARGET, /* keeps its supervisor */
	UNIT_BOOT, /* at a boot, in its place: makes anew what it needs of the node, then starts it
		    */
};

static void unit_name(enum unit unit, const char *id, char *out, size_t size)
{
	snprintf(out, size, "cyborg-spdk-%s-%s.service", unit == UNIT_BOOT ? "boot" : "target", id);
}

static void unit_path(enum unit unit, const char *id, char out[static PATH_MAX])
{
	char name[UNIT_NAME_SIZE];

	unit_name(unit, id, name, sizeof(name));
	snprintf(out, PATH_MAX, UNIT_DIR "/%s", name);
}

static bool unit_exists(enum unit unit, const char *id)
{
	char path[PATH_MAX];

	unit_path(unit, id, path);
	return access(path, F_OK) == 0;
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

static bool root_may(const struct stat *st, mode_t bits)
{
	mode_t rights = st->st_uid == 0	  ? st->st_mode >> 6
			: st->st_gid == 0 ? st->st_mode >> 3
					  : st->st_mode;

	return (rights & bits) == bits;
}

/* Whether root may use the backing, and come to it, by what its owners allow. */
static bool is_open_to_root(const char *path)
{
	char copy[PATH_MAX];
	struct stat st;

	if (stat(path, &st) < 0 || !root_may(&st, S_IROTH | S_IWOTH))
		return false;
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *slash = strrchr(copy, '/'); slash && slash > copy; slash = strrchr(copy, '/')) {
		*slash = '\0';
		if (stat(copy, &st) < 0 || !root_may(&st, S_IXOTH))
			return false;
	}
	return true;
}

/*
 * Root without what it does not need: keys of hosts may be another user's files, the backing too;
 * an SPDK locks memory and asks for physical addresses of hugepages.
 */
static void write_capabilities(FILE *f, const struct accelerator *a, const struct environment *e)
{
	bool engine = e->memory == ENV_MEMORY_OWN;
	bool any_backing = strcmp(a->kind, "memory") != 0 && !is_open_to_root(a->path);

	fprintf(f, "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE%s%s\n",
		!engine || any_backing ? " CAP_DAC_OVERRIDE" : "",
		engine ? "" : " CAP_IPC_LOCK CAP_SYS_ADMIN CAP_SYS_NICE");
	if (engine)
		fputs("MemoryDenyWriteExecute=yes\nSystemCallFilter=@system-service io_uring_setup "
		      "io_uring_enter io_uring_register\nSystemCallErrorNumber=EPERM\n",
		      f);
}

/* CPU time and memory are the target's business. */
static void write_hardening(FILE *f, const struct driver *d, const struct accelerator *a,
			    const struct environment *e)
{
	char folder[PATH_MAX + STATE_ID_SIZE + 16], file[PATH_MAX + 1];

	write_capabilities(f, a, e);
	snprintf(folder, sizeof(folder), "%s/targets/%s", d->dir, a->id);
	snprintf(file, sizeof(file), "-%s", a->path);
	fputs("NoNewPrivileges=yes\nUMask=0077\nProtectSystem=strict\nProtectHome=read-only\n"
	      "ReadWritePaths=-/run/lock -/var/tmp -/tmp -/dev/hugepages ",
	      f);
	write_quoted(f, folder, false);
	if (!strcmp(a->kind, "file"))
		write_quoted(f, file, false);
	if (e->sockets.dir[0]) {
		snprintf(folder, sizeof(folder), "%s/%s", e->sockets.dir, a->id);
		write_quoted(f, folder, false);
	}
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
		"After=network-online.target local-fs.target\nWants=network-online.target\n"
		"StartLimitIntervalSec=0\n\n"
		"[Service]\nType=notify\nNotifyAccess=main\nWatchdogSec=30\nExecStart=",
		a->id);
	for (size_t i = 0; argv[i]; i++)
		write_quoted(f, argv[i], true);
	/* Mixed: SIGTERM to the supervisor only, which forwards it and waits for the drain. */
	fputs("\nKillMode=mixed\nTimeoutStartSec=60\nTimeoutStopSec=60\nRestart=on-failure\n"
	      "RestartSec=2\nLimitMEMLOCK=infinity\nLimitNOFILE=65536\n\n",
	      f);
	write_hardening(f, d, a, e);
	fputs("\n[Install]\nWantedBy=multi-user.target\n", f);
}

void service_boot_unit(FILE *f, const struct driver *d, const struct accelerator *a,
		       const char *program)
{
	fprintf(f,
		"[Unit]\nDescription=Start of the accelerator %s at boot\n"
		"Documentation=man:cyborg-spdk(1)\n"
		"After=network-online.target local-fs.target\nWants=network-online.target\n\n"
		"[Service]\nType=oneshot\nExecStart=",
		a->id);
	write_quoted(f, program, true);
	fprintf(f, "recover %s --state-dir ", a->id);
	write_quoted(f, d->dir, true);
	fputs("\nNoNewPrivileges=yes\nProtectHome=read-only\nProtectClock=yes\n"
	      "ProtectHostname=yes\nProtectKernelLogs=yes\nProtectKernelModules=yes\n"
	      "LockPersonality=yes\nMemoryDenyWriteExecute=yes\nRestrictNamespaces=yes\n"
	      "RestrictRealtime=yes\nRestrictSUIDSGID=yes\nSystemCallArchitectures=native\n\n"
	      "[Install]\nWantedBy=multi-user.target\n",
	      f);
}

/* @argv: of the supervisor; its first word is not used for UNIT_BOOT */
static int write_unit(enum unit unit, const struct driver *d, const struct accelerator *a,
		      const struct environment *e, char *const argv[], struct error *err)
{
	char path[PATH_MAX], tmp[PATH_MAX + 8];
	FILE *f;
	bool bad;

	unit_path(unit, a->id, path);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "we");
	if (!f)
		return error_set(err, -errno, "unit file %s: %s", tmp, error_errno_text(-errno));
	if (unit == UNIT_BOOT)
		service_boot_unit(f, d, a, argv[0]);
	else
		service_unit(f, d, a, e, argv);
	/* systemd warns, at every reload, of one that not everybody may read. */
	bad = ferror(f) || fflush(f) != 0 || fchmod(fileno(f), 0644) < 0 || fsync(fileno(f)) < 0;
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

static int drop_unit(struct driver *d, enum unit unit, const char *id, struct error *err)
{
	char name[UNIT_NAME_SIZE], path[PATH_MAX];

	if (!unit_exists(unit, id))
		return 0;
	unit_name(unit, id, name, sizeof(name));
	unit_path(unit, id, path);
	/* One that failed would be listed as that for ever; for one that did not this does nothing.
	 */
	systemctl(d, "reset-failed", name, NULL);
	if (systemctl(d, "disable", name, err) < 0)
		return err ? err->code : -EIO;
	if (unlink(path) < 0)
		return error_set(err, -errno, "unit file %s: %s", path, error_errno_text(-errno));
	return systemctl(d, "daemon-reload", NULL, err);
}

/*
 * Pages and bindings are gone after a boot, and whether the functions are free must be looked at
 * first: what needs them is started by a recover at boot, which does that.
 */
static bool is_made_at_boot(const struct environment *e)
{
	return e->memory == ENV_MEMORY_HUGE || e->device_count > 0 || e->sockets.dir[0];
}

static int make_boot_unit(struct driver *d, const struct accelerator *a,
			  const struct environment *e, struct error *err)
{
	char program[PATH_MAX], *argv[] = { program, NULL };
	int rc;

	if (!is_made_at_boot(e))
		return drop_unit(d, UNIT_BOOT, a->id, err);
	rc = helper_find("cyborg-spdk", program, err);
	return rc < 0 ? rc : write_unit(UNIT_BOOT, d, a, e, argv, err);
}

static int start_unit(struct driver *d, const struct accelerator *a, const struct environment *e,
		      const struct command *c, const struct target_paths *p, struct error *err)
{
	char target[UNIT_NAME_SIZE], boot[UNIT_NAME_SIZE];
	bool at_once = !is_made_at_boot(e);
	int rc = write_unit(UNIT_TARGET, d, a, e, c->argv, err);

	unit_name(UNIT_TARGET, a->id, target, sizeof(target));
	unit_name(UNIT_BOOT, a->id, boot, sizeof(boot));
	if (rc == 0)
		rc = make_boot_unit(d, a, e, err);
	if (rc == 0)
		rc = systemctl(d, at_once ? "enable" : "disable", target, err);
	if (rc == 0 && !at_once)
		rc = systemctl(d, "enable", boot, err);
	if (rc == 0)
		rc = systemctl(d, "daemon-reload", NULL, err);
	if (rc == 0)
		rc = systemctl(d, "start", target, err);
	return rc == 0 ? wait_answer(d, p, err) : rc;
}

static int start_daemon(struct driver *d, const struct command *c, const struct target_paths *p,
			struct error *err)
{
	int rc = orphans_end(d, p, err);

	return rc < 0 ? rc : run(d, c->argv, START_NS, err);
}

int service_start(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		  struct error *err)
{
	struct command c = { .count = 0 };
	bool systemd = service_is_systemd(d);
	struct environment e;
	int rc = env_load(d, a->id, &e, err);

	if (rc == 0)
		rc = make_command(&c, a, p, e.arguments, &e, !systemd, err);
	if (rc == 0 && systemd)
		rc = start_unit(d, a, &e, &c, p, err);
	else if (rc == 0)
		rc = start_daemon(d, &c, p, err);
	command_fini(&c);
	return rc;
}

int service_start_trial(struct driver *d, const struct accelerator *a, const struct target_paths *p,
			const char *of_node, struct error *err)
{
	struct command c = { .count = 0 };
	int rc = make_command(&c, a, p, of_node, NULL, true, err);

	if (rc == 0)
		rc = start_daemon(d, &c, p, err);
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
	struct target_paths p;
	pid_t supervisor, target;
	int rc = target_paths(d, id, &p, err);

	target_pids(d, id, &supervisor, &target);
	if (rc < 0)
		return rc;
	return supervisor ? stop_supervisor(d, id, supervisor, err) : orphans_end(d, &p, err);
}

/* The unit is stopped also while it has no supervisor: systemd would start another in a moment. */
int service_stop(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		 struct error *err)
{
	char name[UNIT_NAME_SIZE];
	pid_t supervisor, target;
	int rc;

	if (service_is_systemd(d) && unit_exists(UNIT_TARGET, a->id)) {
		unit_name(UNIT_TARGET, a->id, name, sizeof(name));
		rc = systemctl(d, "stop", name, err);
		if (rc < 0)
			return rc;
	}
	target_pids(d, a->id, &supervisor, &target);
	return supervisor ? stop_supervisor(d, a->id, supervisor, err) : orphans_end(d, p, err);
}

int service_forget(struct driver *d, const char *id, struct error *err)
{
	int rc;

	if (!service_is_systemd(d))
		return 0;
	rc = drop_unit(d, UNIT_BOOT, id, err);
	return rc == 0 ? drop_unit(d, UNIT_TARGET, id, err) : rc;
}
