/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target programs on this node, and our own programs.
 *
 * Threading: as driver.h.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

#define ASK_TIMEOUT_NS (10 * NS_PER_SEC)
#define SYSTEM_GROUPS  100 /* below are those of the system, as root and staff */

static const char *const kit_names[] = { "cyborg-spdk-tgt", "spdk_tgt", "nvmf_tgt", NULL };

struct dirs {
	char items[64][PATH_MAX];
	size_t count;
};

static void dirs_add(struct dirs *d, const char *dir)
{
	char real[PATH_MAX];

	if (!dir || !dir[0] || !realpath(dir, real))
		return;
	for (size_t i = 0; i < d->count; i++) {
		if (!strcmp(d->items[i], real))
			return;
	}
	if (d->count < sizeof(d->items) / sizeof(d->items[0]))
		snprintf(d->items[d->count++], PATH_MAX, "%s", real);
}

static void dirs_add_path(struct dirs *d, const char *list)
{
	char *copy = list ? strdup(list) : NULL, *save, *dir;

	for (dir = copy ? strtok_r(copy, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save))
		dirs_add(d, dir);
	free(copy);
}

/* The folder of a file, with something behind it. */
static void dirs_add_near(struct dirs *d, const char *file, const char *behind)
{
	char path[PATH_MAX], *slash;

	if (!realpath(file, path))
		return;
	slash = strrchr(path, '/');
	snprintf(slash, (size_t)(path + sizeof(path) - slash), "%s", behind);
	dirs_add(d, path);
}

/* Beside the program that runs, beside the library, where it was installed to, PATH. */
static void dirs_own(struct dirs *d)
{
	Dl_info info;

	dirs_add_path(d, getenv("CYBORG_SPDK_BIN"));
	dirs_add_near(d, "/proc/self/exe", "");
	if (dladdr(kit_names, &info) && info.dli_fname)
		dirs_add_near(d, info.dli_fname, "/../bin");
	dirs_add(d, CYBORG_SPDK_BINDIR);
	dirs_add_path(d, getenv("PATH"));
}

/* Where a folder with an SPDK, built or installed, has its programs. */
static void dirs_add_tree(void *dirs, const char *folder)
{
	static const char *const below[] = { "", "/bin", "/build/bin" };
	struct dirs *d = dirs;
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		if (snprintf(path, sizeof(path), "%s%s", folder, below[i]) < (int)sizeof(path))
			dirs_add(d, path);
	}
}

/* A folder as cyborg.conf's spdk_dir names one; several separated by colons. */
static void each_configured(void (*fn)(void *arg, const char *folder), void *arg)
{
	const char *list = getenv("CYBORG_SPDK_KITS");
	char *copy = list ? strdup(list) : NULL, *save, *dir;

	for (dir = copy ? strtok_r(copy, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save))
		fn(arg, dir);
	free(copy);
}

static void dirs_opt(struct dirs *d)
{
	DIR *dir = opendir("/opt");
	struct dirent *e;
	char path[PATH_MAX];

	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/opt/%s", e->d_name);
		if (e->d_name[0] != '.')
			dirs_add_tree(d, path);
	}
	if (dir)
		closedir(dir);
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int helper_find(const char *name, char path[static PATH_MAX], struct error *err)
{
	struct dirs *d = calloc(1, sizeof(*d));
	int rc = -ENOENT;

	if (!d)
		return error_set(err, -ENOMEM, "out of memory");
	dirs_own(d);
	for (size_t i = 0; i < d->count && rc < 0; i++) {
		if (snprintf(path, PATH_MAX, "%s/%s", d->items[i], name) < PATH_MAX &&
		    is_program(path))
			rc = 0;
	}
	if (rc < 0)
		error_set(err, rc,
			  "program %s was not found beside this one, in %s or in PATH: install it, "
			  "or "
			  "set CYBORG_SPDK_BIN to its folder",
			  name, CYBORG_SPDK_BINDIR);
	free(d);
	return rc;
}

/*
 * The first number with a dot in it, and whether anything but a release stands behind it:
 * "SPDK v26.05-pre git sha1 ...", "SPDK v25.01.1", "... 0.1.0, commit ...". A commit says nothing:
 * releases that were built from a checkout have one too.
 */
static void parse_release(const char *text, struct kit *out)
{
	unsigned int *r = out->release;

	memset(r, 0, sizeof(out->release));
	out->stable = false;
	for (const char *c = text; *c; c++) {
		size_t len = strspn(c, "0123456789.");

		if (!len || *c == '.')
			continue;
		if (memchr(c, '.', len) && sscanf(c, "%u.%u.%u", &r[0], &r[1], &r[2]) >= 2) {
			out->stable = !c[len] || strchr(" ,\n", c[len]);
			return;
		}
		c += len - 1;
	}
}

void kit_read_version(const char *version, struct kit *out)
{
	out->kind = strstr(version, "cyborg-spdk") ? "engine" : "spdk";
	parse_release(version, out);
}

static int kit_check(const char *path, struct kit *out, struct error *err)
{
	struct stat st;

	if (!realpath(path, out->path) || stat(out->path, &st) < 0)
		return error_set(err, -errno, "target %s: %s", path, error_errno_text(-errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EACCES, "target %s is no program", path);
	if (access(out->path, X_OK) < 0)
		return error_set(err, -EACCES, "target %s is not executable: chmod +x it", path);
	out->mtime = st.st_mtime;
	return 0;
}

/* Its answer is owed to version_take(). */
static int version_ask(struct driver *d, struct kit *kit, uint64_t limit_ns, struct child **out,
		       struct error *err)
{
	char option[] = "--version", *argv[] = { kit->path, option, NULL };

	return child_begin(d->loop, argv, limit_ns, true, out, err);
}

static int version_take(struct child *child, struct kit *out, struct error *err)
{
	struct child_result r;
	int rc = child_end(child, &r, err);

	if (rc < 0)
		return error_prefix(err, "target %s cannot tell its version: ", out->path);
	snprintf(out->version, sizeof(out->version), "%.*s",
		 (int)strcspn(r.out[0] ? r.out : r.err_out, "\n"), r.out[0] ? r.out : r.err_out);
	error_clean_words(out->version);
	if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 0 || !strcasestr(out->version, "spdk"))
		rc = error_set(
			err, -ENOEXEC,
			"target %s does not answer `--version` (status 0x%x, said \"%.80s\"): "
			"it is no target program, or its libraries are missing (name a script "
			"that sets LD_LIBRARY_PATH and hands its arguments on)",
			out->path, (unsigned int)r.status, out->version);
	child_result_fini(&r);
	kit_read_version(out->version, out);
	return rc;
}

int kit_ask(struct driver *d, const char *path, struct kit *out, struct error *err)
{
	struct child *child;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = kit_check(path, out, err);
	if (rc == 0)
		rc = version_ask(d, out, ASK_TIMEOUT_NS, &child, err);
	return rc == 0 ? version_take(child, out, err) : rc;
}

/* A letter that means other things to other programs: "-S dir  directory ... vhost sockets". */
static bool takes_socket_folder(const char *help)
{
	const char *line = strstr(help, " -S ");

	return line && memmem(line, strcspn(line, "\n"), "vhost", 5);
}

int kit_options(struct driver *d, const struct kit *kit, struct kit_options *out, struct error *err)
{
	char option[] = "--help", *argv[] = { (char *)kit->path, option, NULL };
	struct child_result r;
	int rc = child_run(d->loop, argv, ASK_TIMEOUT_NS, &r, err);

	memset(out, 0, sizeof(*out));
	if (rc < 0)
		return error_prefix(err, "target %s cannot tell its options: ", kit->path);
	/* Some releases print their usage as an error. */
	for (int i = 0; i < 2; i++) {
		const char *text = i ? r.err_out : r.out;

		out->no_huge |= strstr(text, "--no-huge") != NULL;
		out->huge_unlink |= strstr(text, "--huge-unlink") != NULL;
		out->no_pci |= strstr(text, "--no-pci") != NULL;
		out->pci_allowed |= strstr(text, "--pci-allowed") != NULL;
		out->pci_whitelist |= strstr(text, "--pci-whitelist") != NULL;
		out->limit_coredump |= strstr(text, "--limit-coredump") != NULL;
		out->socket_folder |= takes_socket_folder(text);
		out->disable_cpumask_locks |= strstr(text, "--disable-cpumask-locks") != NULL;
	}
	child_result_fini(&r);
	return 0;
}

/* Our own engine before others, then release, then what was built last. */
static int by_age(const void *a, const void *b)
{
	const struct kit *x = a, *y = b;

	if (x->kind[0] != y->kind[0])
		return x->kind[0] == 'e' ? -1 : 1;
	for (int i = 0; i < 3; i++) {
		if (x->release[i] != y->release[i])
			return x->release[i] > y->release[i] ? -1 : 1;
	}
	if (x->mtime != y->mtime)
		return x->mtime > y->mtime ? -1 : 1;
	return strcmp(x->path, y->path);
}

/** struct asked - a kit that was found, and the child that is to tell its version */
struct asked {
	struct kit kit;
	struct child *child;
};

/**
 * struct kits_search - a search for kits
 * @until: when all must have told their versions
 * @unsafe: paths of those that were not run
 * @why: the first failure that is no kit's, but this process's
 */
struct kits_search {
	struct driver *d;
	uint64_t until;
	json_t *unsafe;
	struct asked *items;
	size_t count;
	bool failed;
	struct error why;
};

static bool kit_is_known(const struct kits_search *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		if (!strcmp(s->items[i].kit.path, path))
			return true;
	}
	return false;
}

#define TRUSTED_MAX 16

/**
 * struct trust - whose programs root may run: its own, those of whom it runs code of now, and of
 * whom it was told to by the name of a folder
 */
struct trust {
	uid_t users[TRUSTED_MAX];
	size_t count;
};

static void trust_owner(void *trust, const char *path)
{
	struct trust *t = trust;
	struct stat st;

	if (t->count < TRUSTED_MAX && stat(path, &st) == 0)
		t->users[t->count++] = st.st_uid;
}

static void trust_find(struct trust *t)
{
	Dl_info info;

	*t = (struct trust){ .count = 1 };
	trust_owner(t, "/proc/self/exe");
	if (dladdr(kit_names, &info) && info.dli_fname)
		trust_owner(t, info.dli_fname);
	each_configured(trust_owner, t);
}

static bool is_trusted(const struct trust *t, const struct stat *st)
{
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

	for (size_t i = 0; i < t->count; i++) {
		if (st->st_uid == t->users[i])
			return sticky || (!(st->st_mode & S_IWOTH) &&
					  (!(st->st_mode & S_IWGRP) || st->st_gid < SYSTEM_GROUPS));
	}
	return false;
}

/*
 * To ask a program for its version is to run it: root runs none that others may have put there, be
 * it by a folder above. A sticky folder above its own keeps others from what is not theirs.
 */
static bool is_safe(const char *path)
{
	char above[PATH_MAX];
	struct stat st;
	struct trust t;
	bool first = true;

	if (geteuid() != 0)
		return true;
	trust_find(&t);
	snprintf(above, sizeof(above), "%s", path);
	if (stat(above, &st) < 0 || !is_trusted(&t, &st))
		return false;
	for (char *slash = strrchr(above, '/'); slash; slash = strrchr(above, '/')) {
		slash[slash == above] = '\0';
		if (stat(above, &st) < 0 || !is_trusted(&t, &st) || (first && st.st_mode & S_IWOTH))
			return false;
		first = false;
		if (slash == above)
			break;
	}
	return true;
}

static void note_failure(struct kits_search *s, const struct error *err)
{
	static const int ours[] = { -EMFILE, -ENFILE, -EAGAIN, -ENOMEM, -ECHILD };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]) && !s->why.code; i++) {
		if (err->code == ours[i])
			s->why = *err;
	}
}

static void kits_add(struct kits_search *s, const char *path)
{
	struct asked *more = realloc(s->items, (s->count + 1) * sizeof(*more)), *a;
	struct error err = ERROR_INIT;
	uint64_t now = clock_ns();

	if (!more) {
		s->failed = true;
		return;
	}
	s->items = more;
	a = &more[s->count];
	memset(a, 0, sizeof(*a));
	if (kit_check(path, &a->kit, &err) == 0 &&
	    version_ask(s->d, &a->kit, s->until > now ? s->until - now : 0, &a->child, &err) == 0)
		s->count++;
	else
		note_failure(s, &err);
}

static void kits_add_dir(struct kits_search *s, const char *dir)
{
	char path[PATH_MAX + NAME_MAX], real[PATH_MAX];

	for (size_t i = 0; kit_names[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, kit_names[i]);
		if (!is_program(path) || !realpath(path, real) || kit_is_known(s, real))
			continue;
		if (is_safe(real))
			kits_add(s, real);
		else
			json_array_append_new(s->unsafe, json_string(real));
	}
}

struct kits_search *kits_begin(struct driver *d, uint64_t limit_ns)
{
	struct kits_search *s = calloc(1, sizeof(*s));
	struct dirs *dirs = calloc(1, sizeof(*dirs));

	if (!s || !dirs) {
		free(s);
		free(dirs);
		return NULL;
	}
	s->d = d;
	s->unsafe = json_array();
	s->until = clock_ns() + limit_ns;
	dirs_own(dirs);
	each_configured(dirs_add_tree, dirs);
	dirs_add_path(dirs, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/usr/libexec/spdk");
	dirs_opt(dirs);
	for (size_t i = 0; i < dirs->count; i++)
		kits_add_dir(s, dirs->items[i]);
	free(dirs);
	return s;
}

ssize_t kits_end(struct kits_search *s, struct kit **out, json_t *silent, json_t *unsafe,
		 struct error *why)
{
	struct kit *kits = s ? calloc(s->count + 1, sizeof(*kits)) : NULL;
	bool failed = !kits || s->failed;
	size_t count = 0;

	for (size_t i = 0; s && i < s->count; i++) {
		struct error err = ERROR_INIT;
		struct kit *kit = &s->items[i].kit;

		if (version_take(s->items[i].child, kit, &err) == 0 && kits)
			kits[count++] = *kit;
		else if (err.code == -ETIMEDOUT && silent)
			json_array_append_new(silent, json_string(kit->path));
		else
			note_failure(s, &err);
	}
	if (s && why)
		*why = s->why;
	if (s && unsafe)
		json_array_extend(unsafe, s->unsafe);
	if (s) {
		json_decref(s->unsafe);
		free(s->items);
	}
	free(s);
	if (failed) {
		free(kits);
		kits = NULL;
		count = 0;
	}
	if (count > 1)
		qsort(kits, count, sizeof(*kits), by_age);
	*out = kits;
	return failed ? -ENOMEM : (ssize_t)count;
}

static void name_passed_over(const struct kit *kits, ssize_t count, const char *kind, char *out,
			     size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (ssize_t i = 0; i < count && at < size; i++) {
		if (!kind || !strcmp(kits[i].kind, kind))
			at += (size_t)snprintf(out + at, size - at, "%s%s (%.60s)", at ? ", " : "",
					       kits[i].path, kits[i].version);
	}
}

static const char *first_of(const json_t *paths)
{
	const char *path = json_string_value(json_array_get(paths, 0));

	return path ? path : "";
}

int kit_newest(struct driver *d, const char *kind, struct kit *out, struct error *err)
{
	json_t *silent = json_array(), *unsafe = json_array();
	struct error why = ERROR_INIT;
	char passed[320];
	struct kit *kits;
	ssize_t n = kits_end(kits_begin(d, ASK_TIMEOUT_NS), &kits, silent, unsafe, &why);
	int rc = -ENOENT;

	for (ssize_t i = 0; i < n && rc < 0; i++) {
		if (!kits[i].stable || (kind && strcmp(kits[i].kind, kind) != 0))
			continue;
		*out = kits[i];
		rc = 0;
	}
	name_passed_over(kits, n, kind, passed, sizeof(passed));
	free(kits);
	if (rc < 0 && why.code)
		rc = error_set(err, why.code, "%s", why.text);
	else if (rc < 0)
		error_set(err, rc,
			  "no stable release of %s is installed: install one or name it with "
			  "--target%s%s%s%.200s%s%.200s",
			  kind && kind[0] == 's' ? "SPDK" : "a target program",
			  passed[0] ? "; pre-releases are taken only when named: " : "", passed,
			  json_array_size(silent) ? "; did not tell its version in time: " : "",
			  first_of(silent),
			  json_array_size(unsafe) ? "; not run, since others may change it: " : "",
			  first_of(unsafe));
	json_decref(silent);
	json_decref(unsafe);
	return rc;
}
