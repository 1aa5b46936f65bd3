/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ceph's configuration files: cluster id, monitors, keyrings.
 *
 * Threading: as probe.h.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/ceph.h"

#define CONF_MAX     (256 * 1024)
#define CONF_FOLDER  "/etc/ceph"
#define PORT_V2	     3300
#define PORT_V1	     6789
#define DEFAULT_USER "client.admin"

static void add_monitor(struct probe_ceph *c, const char *host, size_t len, unsigned int port)
{
	struct probe_ceph_monitor *m = &c->monitors[c->monitor_count];

	if (c->monitor_count == PROBE_CEPH_MONITORS || !len || len >= sizeof(m->host) || !port ||
	    port > 65535)
		return;
	memset(m, 0, sizeof(*m));
	memcpy(m->host, host, len);
	m->port = port;
	c->monitor_count++;
}

/*
 * One address: [v1:|v2:]HOST[:PORT][/NONCE], HOST an IPv6 address in brackets or anything else.
 * Without prefix and port both protocols' ports are meant.
 *
 * Return: what follows it.
 */
static const char *take_address(struct probe_ceph *c, const char *at)
{
	unsigned int version = 0, port = 0;
	const char *host;
	size_t len;

	if ((at[0] == 'v') && (at[1] == '1' || at[1] == '2') && at[2] == ':') {
		version = (unsigned int)(at[1] - '0');
		at += 3;
	}
	host = *at == '[' ? at + 1 : at;
	len = strcspn(host, *at == '[' ? "]" : ":/,; \t]");
	at = host + len + (*at == '[' && host[len] == ']');
	if (*at == ':')
		port = (unsigned int)strtoul(at + 1, (char **)&at, 10);
	if (*at == '/')
		at += strcspn(at, ",; \t]");
	if (port || version) {
		add_monitor(c, host, len, port ? port : version == 2 ? PORT_V2 : PORT_V1);
	} else {
		add_monitor(c, host, len, PORT_V2);
		add_monitor(c, host, len, PORT_V1);
	}
	return at;
}

void ceph_parse_monitors(struct probe_ceph *c, const char *text)
{
	const char *at = text;

	while (*at) {
		const char *next = at;

		if (strchr(",; \t]", *at) || !strncmp(at, "[v", 2))
			next = at + 1;
		else
			next = take_address(c, at);
		at = next > at ? next : at + 1;
	}
}

/* Blanks, '-' and '_' are the same in the names of options. */
static bool is_key(const char *key, const char *name)
{
	for (; *name; key++, name++) {
		if (*key != *name && !(*name == '_' && strchr(" -", *key) && *key))
			return false;
	}
	return !*key;
}

/* CLUSTER.client.admin.keyring tells whose it is; otherwise its first section does. */
static void keyring_user(const struct probe *p, struct probe_ceph_keyring *k)
{
	FILE *f = probe_fopen(p, "%s", k->path);
	const char *name = strstr(k->path, ".client.");
	char line[256];

	snprintf(k->user, sizeof(k->user), DEFAULT_USER);
	if (name && strlen(name) > 16 && !strcmp(name + strlen(name) - 8, ".keyring"))
		snprintf(k->user, sizeof(k->user), "%.*s", (int)strlen(name) - 9, name + 1);
	while (f && fgets(line, sizeof(line), f)) {
		char user[64];

		if (sscanf(line, " [%63[^]]]", user) == 1) {
			snprintf(k->user, sizeof(k->user), "%s", user);
			break;
		}
	}
	if (f)
		fclose(f);
}

static void add_keyring(const struct probe *p, struct probe_ceph *c, const char *path)
{
	struct probe_ceph_keyring *k = &c->keyrings[c->keyring_count];
	char full[2 * PATH_MAX];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", p->root, path);
	if (c->keyring_count == PROBE_CEPH_KEYRINGS || stat(full, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	for (size_t i = 0; i < c->keyring_count; i++) {
		if (!strcmp(c->keyrings[i].path, path))
			return;
	}
	memset(k, 0, sizeof(*k));
	snprintf(k->path, sizeof(k->path), "%.4000s", path);
	k->readable = access(full, R_OK) == 0;
	if (k->readable)
		keyring_user(p, k);
	c->keyring_count++;
}

/* Of the variables in a path only the cluster's name is the same for all users. */
static void take_keyring(const struct probe *p, struct probe_ceph *c, const char *value)
{
	const char *variable = strstr(value, "$cluster");
	char path[PATH_MAX];

	if (variable)
		snprintf(path, sizeof(path), "%.*s%s%.2000s", (int)(variable - value), value,
			 c->name, variable + 8);
	else
		snprintf(path, sizeof(path), "%.4000s", value);
	add_keyring(p, c, path);
}

static void take_option(const struct probe *p, struct probe_ceph *c, const char *section,
			const char *key, const char *value)
{
	if (is_key(key, "fsid"))
		snprintf(c->fsid, sizeof(c->fsid), "%.39s", value);
	else if (is_key(key, "mon_host") ||
		 (is_key(key, "mon_addr") && !strncmp(section, "mon.", 4)))
		ceph_parse_monitors(c, value);
	else if (is_key(key, "keyring") &&
		 (!strcmp(section, "global") || !strncmp(section, "client", 6)))
		take_keyring(p, c, value);
}

static char *strip(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void parse(const struct probe *p, struct probe_ceph *c, char *text)
{
	char section[64] = "global", *save, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value;

		line = strip(line);
		value = strchr(line, '=');
		if (sscanf(line, "[%63[^]]]", section) == 1 || !value || strchr("#;", line[0]))
			continue;
		*value++ = '\0';
		value[strcspn(value, "#")] = '\0';
		take_option(p, c, section, strip(line), strip(value));
	}
}

/* A pipe put there may not stop us. */
static char *read_file(const char *path, int *error)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	ssize_t n = -1;

	*error = fd < 0 ? -errno : 0;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= CONF_MAX)
		text = malloc(CONF_MAX + 1);
	else if (fd >= 0)
		*error = -EINVAL;
	if (text)
		n = read(fd, text, CONF_MAX);
	if (text)
		text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void find_keyrings(const struct probe *p, struct probe_ceph *c)
{
	DIR *dir = probe_opendir(p, CONF_FOLDER);
	char start[80], path[PATH_MAX];
	struct dirent *e;

	snprintf(start, sizeof(start), "%s.", c->name);
	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (strncmp(e->d_name, start, strlen(start)) != 0 || len < 8 ||
		    strcmp(e->d_name + len - 8, ".keyring") != 0)
			continue;
		snprintf(path, sizeof(path), CONF_FOLDER "/%s", e->d_name);
		add_keyring(p, c, path);
	}
	if (dir)
		closedir(dir);
}

void ceph_read_conf(const struct probe *p, struct probe_ceph *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	char full[2 * PATH_MAX], *text;
	int error;

	memset(c, 0, sizeof(*c));
	snprintf(c->path, sizeof(c->path), "%.4000s", path);
	snprintf(c->name, sizeof(c->name), "%.63s", slash ? slash + 1 : path);
	c->name[strcspn(c->name, ".")] = '\0';
	snprintf(full, sizeof(full), "%s%s", p->root, path);
	text = read_file(full, &error);
	if (!text) {
		snprintf(c->error, sizeof(c->error), "%.160s cannot be read: %s", path,
			 error_errno_text(error));
		return;
	}
	parse(p, c, text);
	free(text);
	find_keyrings(p, c);
	if (!c->monitor_count)
		snprintf(c->error, sizeof(c->error), "%.160s names no monitor (mon_host)", path);
}
