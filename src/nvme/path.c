/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a subsystem is and who asks for it: addresses, NQNs and host identifiers from text.
 *
 * Threading: pure functions; nvme_path_init() reads /etc/machine-id.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "nvme/host.h"

#define NVME_TCP_PORT "4420"
#define WORD_MAX      300

/* What names machines of this program in the UUIDs that are made from their machine-id. */
static const struct uuid host_space = { .raw = { 0x9d, 0x3c, 0x5e, 0x0b, 0x61, 0x2f, 0x4c, 0x0a,
						 0xb8, 0x57, 0x1e, 0x6a, 0x93, 0x70, 0xd4, 0x28 } };

static void machine_name(char *buf, size_t size)
{
	FILE *f = fopen("/etc/machine-id", "re");
	bool got = f && fgets(buf, (int)size, f) && buf[0] != '\n';

	if (f)
		fclose(f);
	if (!got && gethostname(buf, size) != 0)
		snprintf(buf, size, "localhost");
	buf[size - 1] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

void nvme_path_init(struct nvme_path *path)
{
	char name[128], text[UUID_TEXT_SIZE];

	*path = (struct nvme_path){ .trtype = NVME_TRTYPE_TCP };
	machine_name(name, sizeof(name));
	uuid_from_name(&path->hostid, &host_space, name);
	uuid_to_text(&path->hostid, text);
	snprintf(path->subnqn, sizeof(path->subnqn), "%s", NVME_DISCOVERY_NQN);
	snprintf(path->hostnqn, sizeof(path->hostnqn), "nqn.2014-08.org.nvmexpress:uuid:%s", text);
}

int nvme_path_set_nqn(char which[static NVME_NQN_MAX + 1], const char *what, const char *text,
		      struct error *err)
{
	size_t len = strlen(text);

	if (len > NVME_NQN_MAX)
		return error_set(err, -EINVAL, "%s '%.40s...' has %zu bytes; an NQN has at most %u",
				 what, text, len, NVME_NQN_MAX);
	if (strncmp(text, "nqn.", 4) != 0 || len == 4)
		return error_set(err, -EINVAL,
				 "%s '%s' is no NQN; one looks like nqn.2014-08.org.example:name",
				 what, text);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return error_set(err, -EINVAL,
					 "%s '%s' has a space or control character at byte %zu; an "
					 "NQN has none",
					 what, text, i);
	memcpy(which, text, len + 1);
	return 0;
}

int nvme_path_set_hostid(struct nvme_path *path, const char *text, struct error *err)
{
	struct uuid id;

	if (uuid_from_text(&id, text) != 0 || uuid_is_nil(&id))
		return error_set(err, -EINVAL,
				 "host identifier '%s' is no UUID; give one like "
				 "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
				 text);
	path->hostid = id;
	return 0;
}

static int bad_addr(const char *text, struct error *err)
{
	return error_set(err, -EINVAL,
			 "address '%s' is none; give ADDRESS:PORT, like 127.0.0.1:4420 or "
			 "[::1]:4420",
			 text);
}

int nvme_path_set_addr(struct nvme_path *path, const char *text, struct error *err)
{
	char host[WORD_MAX];
	const char *port = NVME_TCP_PORT, *begin = text, *end, *colon;

	if (*text == '[') {
		begin = text + 1;
		end = strchr(begin, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return bad_addr(text, err);
		colon = end[1] ? end + 1 : NULL;
	} else {
		colon = strchr(text, ':');
		/* More than one colon: an IPv6 address without a port. */
		if (colon && strchr(colon + 1, ':'))
			colon = NULL;
		end = colon ? colon : text + strlen(text);
	}
	if (colon)
		port = colon + 1;
	if (end == begin || (size_t)(end - begin) >= sizeof(host))
		return bad_addr(text, err);
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	return net_addr_parse(&path->addr, host, port, err);
}

/* --- "trtype:TCP adrfam:IPv4 ..." ------------------------------------------------------------- */

struct words {
	char traddr[WORD_MAX];
	char trsvcid[WORD_MAX];
	char adrfam[WORD_MAX];
};

static int take_trtype(const char *value, struct error *err)
{
	if (strcasecmp(value, "TCP") == 0)
		return 0;
	return error_set(err, -EPROTONOSUPPORT,
			 "trtype '%s' is not carried by this program; it carries TCP", value);
}

static int take_word(struct nvme_path *path, struct words *words, const char *key,
		     const char *value, struct error *err)
{
	if (strcasecmp(key, "trtype") == 0)
		return take_trtype(value, err);
	if (strcasecmp(key, "subnqn") == 0)
		return nvme_path_set_nqn(path->subnqn, "subnqn", value, err);
	if (strcasecmp(key, "hostnqn") == 0)
		return nvme_path_set_nqn(path->hostnqn, "hostnqn", value, err);
	if (strcasecmp(key, "hostid") == 0)
		return nvme_path_set_hostid(path, value, err);
	if (strcasecmp(key, "traddr") == 0)
		snprintf(words->traddr, sizeof(words->traddr), "%s", value);
	else if (strcasecmp(key, "trsvcid") == 0)
		snprintf(words->trsvcid, sizeof(words->trsvcid), "%s", value);
	else if (strcasecmp(key, "adrfam") == 0)
		snprintf(words->adrfam, sizeof(words->adrfam), "%s", value);
	else
		return error_set(err, -EINVAL,
				 "'%s' is no part of a transport ID; trtype, adrfam, traddr, "
				 "trsvcid, subnqn, hostnqn and hostid are",
				 key);
	return 0;
}

static int check_family(const struct nvme_path *path, const char *adrfam, struct error *err)
{
	int family;

	if (strcasecmp(adrfam, "IPv4") == 0)
		family = AF_INET;
	else if (strcasecmp(adrfam, "IPv6") == 0)
		family = AF_INET6;
	else
		return error_set(err, -EINVAL, "adrfam '%s' is unknown; IPv4 and IPv6 are known",
				 adrfam);
	if (path->addr.ss.ss_family != family)
		return error_set(err, -EINVAL, "traddr is not of adrfam %s", adrfam);
	return 0;
}

static int take_words(struct nvme_path *path, const struct words *words, struct error *err)
{
	int ret;

	if (!words->traddr[0]) {
		if (!words->trsvcid[0] && !words->adrfam[0])
			return 0;
		return error_set(err, -EINVAL, "trsvcid and adrfam need a traddr beside them");
	}
	ret = net_addr_parse(&path->addr, words->traddr,
			     words->trsvcid[0] ? words->trsvcid : NVME_TCP_PORT, err);
	if (ret == 0 && words->adrfam[0])
		ret = check_family(path, words->adrfam, err);
	return ret;
}

/* Take one "key:value" (or "key=value"); @text moves behind it. */
static int next_word(const char **text, char *word, char **value, struct error *err)
{
	size_t len = strcspn(*text, " \t\n");

	if (len >= WORD_MAX)
		return error_set(err, -EINVAL, "transport ID: '%.40s...' is longer than %d bytes",
				 *text, WORD_MAX - 1);
	memcpy(word, *text, len);
	word[len] = '\0';
	*text += len;
	*value = word + strcspn(word, ":=");
	if (**value == '\0')
		return error_set(err, -EINVAL, "transport ID: '%s' is not of the form name:value",
				 word);
	*(*value)++ = '\0';
	return 0;
}

int nvme_path_parse(struct nvme_path *path, const char *text, struct error *err)
{
	struct words words = { 0 };
	char word[WORD_MAX], *value = word;
	int ret;

	for (;;) {
		text += strspn(text, " \t\n");
		if (*text == '\0')
			return take_words(path, &words, err);
		ret = next_word(&text, word, &value, err);
		if (ret == 0)
			ret = take_word(path, &words, word, value, err);
		if (ret != 0)
			return ret;
	}
}
