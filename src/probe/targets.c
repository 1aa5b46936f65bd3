/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running SPDK targets: found by their sockets (in any network namespace), by what processes run,
 * and by SPDK's lock files, also in containers.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe/internal.h"

#define SO_ACCEPTCON   0x10000 /* of the flags in /proc/net/unix: it listens */
#define SOCKET_WORD    "spdk"
#define DEFAULT_SOCKET "/var/tmp/spdk.sock"
#define CPU_LOCK       "spdk_cpu_lock_"

static const struct {
	const char *program, *kind;
} programs[] = {
	{ "cyborg-spdk-tgt", "engine" }, { "spdk_tgt", "spdk_tgt" },
	{ "nvmf_tgt", "nvmf_tgt" },	 { "vhost", "vhost" },
	{ "iscsi_tgt", "iscsi_tgt" },
};

/**
 * struct process - a process that runs a target program, or holds a socket that looks like one's
 * @rpc: the socket that its command line names; "" when it names none
 * @only_tells: it was asked for its version or its options, as discover asks kits, and serves
 * nothing
 */
struct process {
	pid_t pid;
	char command[16];
	char program[64];
	const char *kind;
	char rpc[PATH_MAX];
	bool contained, only_tells;
};

/** struct finder - a search for targets */
struct finder {
	struct probe *p;
	const char *dir;
	struct process *processes;
	size_t process_count;
	struct probe_target *targets;
	size_t count;
	int rc;
};

static const char *kind_of(const char *program)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (!strcmp(programs[i].program, program))
			return programs[i].kind;
	}
	return "unknown";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool probe_is_target_program(const char *path)
{
	return strcmp(kind_of(base_name(path)), "unknown") != 0;
}

/* -r FILE, -rFILE, --rpc-socket FILE, --rpc-socket=FILE: the same for all of SPDK's programs. */
static void take_rpc_option(struct process *x, const char *word, const char *next)
{
	const char *value = NULL;

	if (!strcmp(word, "-r") || !strcmp(word, "--rpc-socket"))
		value = next;
	else if (!strncmp(word, "--rpc-socket=", 13))
		value = word + 13;
	else if (!strncmp(word, "-r", 2) && word[2] == '/')
		value = word + 2;
	if (value)
		snprintf(x->rpc, sizeof(x->rpc), "%.4000s", value);
}

static void read_command_line(struct probe *p, struct process *x)
{
	FILE *f = probe_fopen(p, "/proc/%d/cmdline", x->pid);
	char text[4096];
	size_t n = f ? fread(text, 1, sizeof(text) - 2, f) : 0;

	if (f)
		fclose(f);
	text[n] = text[n + 1] = '\0';
	for (size_t at = strlen(text) + 1; at < n; at += strlen(text + at) + 1) {
		size_t next = at + strlen(text + at) + 1;

		take_rpc_option(x, text + at, next < n ? text + next : NULL);
		if (!strcmp(text + at, "--version") || !strcmp(text + at, "--help"))
			x->only_tells = true;
	}
}

/*
 * The command line is read of targets only: of a process that is stuck in a page fault, reading it
 * is stuck as well. The name is what is left where this user may not read the link.
 */
static void read_process(struct probe *p, pid_t pid, struct process *x)
{
	char link[PATH_MAX], *gone;

	memset(x, 0, sizeof(*x));
	x->pid = pid;
	probe_read(p, x->command, sizeof(x->command), "/proc/%d/comm", pid);
	if (probe_readlink(p, link, sizeof(link), "/proc/%d/exe", pid)) {
		gone = strstr(link, " (deleted)");
		if (gone)
			*gone = '\0';
		snprintf(x->program, sizeof(x->program), "%.63s", base_name(link));
	} else if (strcmp(kind_of(x->command), "unknown") != 0) {
		snprintf(x->program, sizeof(x->program), "%s", x->command);
	}
	x->kind = kind_of(x->program);
	if (strcmp(x->kind, "unknown") != 0)
		read_command_line(p, x);
}

static bool is_contained(struct probe *p, pid_t pid)
{
	char mine[64], its[64], root[PATH_MAX];

	if (probe_readlink(p, root, sizeof(root), "/proc/%d/root", pid) && strcmp(root, "/") != 0)
		return true;
	return probe_readlink(p, mine, sizeof(mine), "/proc/self/ns/mnt") &&
	       probe_readlink(p, its, sizeof(its), "/proc/%d/ns/mnt", pid) &&
	       strcmp(mine, its) != 0;
}

/* Kept: target programs only; a holder of another kind is read when its socket comes up. */
static void add_process(struct finder *f, pid_t pid)
{
	struct process *more, *x = malloc(sizeof(*x));

	if (!x)
		return;
	read_process(f->p, pid, x);
	if (strcmp(x->kind, "unknown") != 0 && !x->only_tells) {
		x->contained = is_contained(f->p, pid);
		more = realloc(f->processes, (f->process_count + 1) * sizeof(*more));
		if (more) {
			f->processes = more;
			more[f->process_count++] = *x;
		}
	}
	free(x);
}

static const struct process *find_process(const struct finder *f, pid_t pid)
{
	for (size_t i = 0; i < f->process_count; i++) {
		if (f->processes[i].pid == pid)
			return &f->processes[i];
	}
	return NULL;
}

static struct probe_target *add_target(struct finder *f)
{
	struct probe_target *more = realloc(f->targets, (f->count + 1) * sizeof(*more));

	if (!more) {
		f->rc = -ENOMEM;
		return NULL;
	}
	f->targets = more;
	memset(&more[f->count], 0, sizeof(*more));
	more[f->count].kind = "unknown";
	return &more[f->count++];
}

static void set_process(struct probe_target *t, const struct process *x)
{
	t->pid = x->pid;
	t->kind = x->kind;
	t->contained = x->contained;
	memcpy(t->command, x->command, sizeof(t->command));
	memcpy(t->program, x->program, sizeof(t->program));
}

/* Below the process's root for a container; relative names count from its working directory. */
static void set_socket(struct probe_target *t, const char *path)
{
	const char *where = path[0] == '/' ? "root" : "cwd/";

	if (!t->pid || (!t->contained && path[0] == '/')) {
		snprintf(t->socket, sizeof(t->socket), "%.4000s", path);
		return;
	}
	snprintf(t->socket, sizeof(t->socket), "/proc/%d/%s%.4000s", t->pid, where, path);
	snprintf(t->inside, sizeof(t->inside), "%.4000s", path);
}

/*
 * SPDK and the engine hold a lock beside the socket; a FIFO put there may not stop us. Only looked
 * at: a lock tried here could make a target's start fail.
 */
static bool is_locked(const struct probe *p, const char *socket)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[2 * PATH_MAX];
	struct stat st;
	bool held;
	int fd;

	snprintf(path, sizeof(path), "%s%s.lock", p->root, socket);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES;
	held = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       ((fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) ||
		probe_lock_pid(p, &st));
	close(fd);
	return held;
}

static bool has_word(const char *path, const char *dir)
{
	return strstr(path, SOCKET_WORD) || (dir[0] && strstr(path, dir));
}

/*
 * Not every socket that a target listens on is its RPC socket: vhost-user ones are not, and would
 * take our connection for a machine's.
 */
static bool is_rpc(const struct finder *f, const struct process *x, const struct probe_target *t,
		   const char *path)
{
	if (!x)
		return has_word(path, f->dir) && !strstr(base_name(path), "vhost");
	return t->locked || !strcmp(path, x->rpc[0] ? x->rpc : DEFAULT_SOCKET);
}

static void take_socket(struct finder *f, const char *path, unsigned long long inode)
{
	pid_t pid = probe_socket_pid(f->p, inode);
	const struct process *x = find_process(f, pid);
	struct probe_target *t = calloc(1, sizeof(*t)), *kept;

	if (!t)
		return;
	t->kind = "unknown";
	t->pid = pid;
	if (x)
		set_process(t, x);
	else if (pid)
		t->contained = is_contained(f->p, pid);
	set_socket(t, path);
	t->locked = is_locked(f->p, t->socket);
	if (is_rpc(f, x, t, path)) {
		struct process *other = x || !pid ? NULL : malloc(sizeof(*other));

		if (other) {
			read_process(f->p, pid, other);
			memcpy(t->command, other->command, sizeof(t->command));
			memcpy(t->program, other->program, sizeof(t->program));
			free(other);
		}
		kept = add_target(f);
		if (kept)
			*kept = *t;
	}
	free(t);
}

/* Num: RefCount Protocol Flags Type St Inode Path */
static bool listens(const char *line, unsigned long long *inode,
		    char path[static PROBE_SOCKET_SIZE])
{
	unsigned int flags;

	return sscanf(line, "%*x: %*x %*x %x %*x %*x %llu %127[^\n]", &flags, inode, path) == 3 &&
	       (flags & SO_ACCEPTCON) && path[0] != '@';
}

static void take_line(struct finder *f, const char *line)
{
	unsigned long long inode;
	char path[PROBE_SOCKET_SIZE];

	if (listens(line, &inode, path) &&
	    (has_word(path, f->dir) || find_process(f, probe_socket_pid(f->p, inode))))
		take_socket(f, path, inode);
}

static void read_sockets(struct finder *f, const char *proc)
{
	FILE *file = probe_fopen(f->p, "/proc/%snet/unix", proc);
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		take_line(f, line);
	if (file)
		fclose(file);
}

/* Targets whose socket was not found: it listens on none, or on one that this user cannot see. */
static void add_silent(struct finder *f)
{
	for (size_t i = 0; i < f->process_count; i++) {
		bool known = false;
		struct probe_target *t;

		for (size_t k = 0; k < f->count && !known; k++)
			known = f->targets[k].pid == f->processes[i].pid;
		t = known ? NULL : add_target(f);
		if (t)
			set_process(t, &f->processes[i]);
	}
}

/* The holder by the lock itself; what the file says anybody may have written. */
static pid_t cpu_lock_pid(const struct probe *p, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	pid_t pid = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		pid = probe_lock_pid(p, &st);
	close(fd);
	return pid;
}

static struct probe_target *target_of(struct finder *f, pid_t pid)
{
	struct probe_target *t;
	struct process *x;

	for (size_t i = 0; i < f->count; i++) {
		if (f->targets[i].pid == pid)
			return &f->targets[i];
	}
	t = add_target(f);
	x = t ? malloc(sizeof(*x)) : NULL;
	if (!x)
		return NULL;
	read_process(f->p, pid, x);
	set_process(t, x);
	free(x);
	return t;
}

/* SPDK locks /var/tmp/spdk_cpu_lock_NNN for each core that it polls on. */
static void read_cpu_locks(struct finder *f, const char *folder)
{
	DIR *dir = probe_opendir(f->p, "%s", folder);
	char path[2 * PATH_MAX], core[16];
	struct probe_target *t;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		pid_t pid;

		if (strncmp(e->d_name, CPU_LOCK, strlen(CPU_LOCK)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s%s/%s", f->p->root, folder, e->d_name);
		pid = cpu_lock_pid(f->p, path);
		t = pid ? target_of(f, pid) : NULL;
		if (!t || strlen(t->cores) + sizeof(core) > sizeof(t->cores))
			continue;
		snprintf(core, sizeof(core), "%s%d", t->cores[0] ? " " : "",
			 atoi(e->d_name + strlen(CPU_LOCK)));
		strcat(t->cores, core);
	}
	if (dir)
		closedir(dir);
}

static int by_socket(const void *a, const void *b)
{
	const struct probe_target *x = a, *y = b;
	int order = strcmp(x->socket, y->socket);

	return order ? order : x->pid - y->pid;
}

ssize_t probe_targets(struct probe *p, const char *dir, struct probe_target **out)
{
	struct finder f = { .p = p, .dir = dir };

	probe_look(p);
	probe_keep_locks(p);
	for (size_t i = 0; i < p->runs_target_count; i++)
		add_process(&f, p->runs_target[i]);
	read_sockets(&f, "");
	for (size_t i = 0; i < p->netns_count; i++) {
		char proc[32];

		/* That of this process comes first, and was read. */
		snprintf(proc, sizeof(proc), "%d/", p->netns[i].pid);
		if (p->netns[i].pid)
			read_sockets(&f, proc);
	}
	add_silent(&f);
	read_cpu_locks(&f, "/var/tmp");
	for (size_t i = 0; i < f.process_count; i++) {
		char folder[64];

		snprintf(folder, sizeof(folder), "/proc/%d/root/var/tmp", f.processes[i].pid);
		if (f.processes[i].contained)
			read_cpu_locks(&f, folder);
	}
	probe_drop_locks(p);
	free(f.processes);
	if (f.rc < 0) {
		free(f.targets);
		f.targets = NULL;
		f.count = 0;
	}
	if (f.count > 1)
		qsort(f.targets, f.count, sizeof(*f.targets), by_socket);
	*out = f.targets;
	return f.rc < 0 ? f.rc : (ssize_t)f.count;
}

static bool has_lock_file(const struct probe *p, const char *socket)
{
	char path[2 * PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s.lock", p->root, socket);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Who began to listen there; 0 when that is not told. Nothing is sent. */
static pid_t listener_of(const char *socket_path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.107s", socket_path);
	if (fd >= 0 && (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0))
		peer.pid = 0;
	if (fd >= 0)
		close(fd);
	return peer.pid;
}

/* Others have locks beside their sockets as well, as a display server does: they run no target. */
static bool is_certain(struct probe *p, const char *path)
{
	char program[PATH_MAX];
	pid_t pid = path[0] == '/' && has_lock_file(p, path) ? listener_of(path) : 0;

	return pid && probe_readlink(p, program, sizeof(program), "/proc/%d/exe", pid) &&
	       probe_is_target_program(program);
}

size_t probe_target_sockets(struct probe *p, char (*out)[PROBE_SOCKET_SIZE], size_t room)
{
	FILE *file = probe_fopen(p, "/proc/net/unix");
	unsigned long long inode;
	char line[512];
	size_t n = 0;

	while (n < room && file && fgets(line, sizeof(line), file))
		n += listens(line, &inode, out[n]) && is_certain(p, out[n]);
	if (file)
		fclose(file);
	return n;
}

/* Below @root, so that no link in a container leads out of it. */
static int open_below(const char *root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;
	int rc;

	if (dir < 0)
		return -errno;
	fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	rc = fd < 0 ? -errno : (int)fd;
	close(dir);
	return rc;
}

int probe_target_open(struct probe *p, const struct probe_target *t)
{
	char root[64];
	struct stat st;
	int fd;

	(void)p;
	if (!t->socket[0])
		return -ENOENT;
	if (t->inside[0]) {
		snprintf(root, sizeof(root), "/proc/%d/%s", t->pid,
			 t->inside[0] == '/' ? "root" : "cwd");
		fd = open_below(root, t->inside);
	} else {
		fd = open(t->socket, O_PATH | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))) {
		close(fd);
		return -ENOTSOCK;
	}
	return fd;
}
