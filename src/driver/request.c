/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and names from outside: the one place where they are checked.
 *
 * Threading: pure functions.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "driver/driver.h"

int request_check(const json_t *request, const char *const *names, struct error *err)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach ((json_t *)request, name, value) {
		for (i = 0; names[i] && strcmp(names[i], name) != 0; i++)
			;
		if (!names[i])
			return error_set(err, -EINVAL,
					 "the request's member \"%s\" is not known to this verb",
					 name);
	}
	return 0;
}

const char *request_text(const json_t *request, const char *name, struct error *err)
{
	json_t *v = json_object_get(request, name);

	if (!v || json_is_null(v))
		return NULL;
	if (json_is_string(v) && json_string_length(v) > 0)
		return json_string_value(v);
	error_set(err, -EINVAL, "the request's member \"%s\" must be a text that is not empty",
		  name);
	return NULL;
}

bool request_flag(const json_t *request, const char *name, struct error *err)
{
	json_t *v = json_object_get(request, name);

	if (v && !json_is_null(v) && !json_is_boolean(v))
		error_set(err, -EINVAL, "the request's member \"%s\" must be true or false", name);
	return json_is_true(v);
}

uint64_t request_u64(const json_t *request, const char *name, uint64_t otherwise, struct error *err)
{
	json_t *v = json_object_get(request, name);

	if (!v || json_is_null(v))
		return otherwise;
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		return (uint64_t)json_integer_value(v);
	error_set(err, -EINVAL, "the request's member \"%s\" must be a whole number, 0 or larger",
		  name);
	return otherwise;
}

int request_lines(const json_t *request, const char *name, char *out, size_t size,
		  struct error *err)
{
	json_t *list = json_object_get(request, name), *v;
	size_t i, at = 0;

	out[0] = '\0';
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return error_set(err, -EINVAL, "the request's \"%s\" must be an array", name);
	json_array_foreach (list, i, v) {
		const char *text = json_string_value(v);

		if (!text || !*text || strchr(text, '\n'))
			return error_set(err, -EINVAL,
					 "the request's \"%s\" must be texts of one line", name);
		at += (size_t)snprintf(out + at, size - at, "%s\n", text);
		if (at >= size)
			return error_set(err, -E2BIG, "the target's arguments are too long");
	}
	return 0;
}

static bool is_option(const char *text, const char *option)
{
	size_t len = strlen(option);

	return !strncmp(text, option, len) && (!text[len] || text[len] == '=');
}

int request_arguments(const json_t *request, char *out, size_t size, struct error *err)
{
	static const char *const own[] = { "-r",       "--rpc-socket",	 "-c",
					   "--config", "--wait-for-rpc", NULL };
	int rc = request_lines(request, "arguments", out, size, err);
	json_t *v;
	size_t i;

	if (rc < 0)
		return rc;
	json_array_foreach (json_object_get(request, "arguments"), i, v) {
		for (const char *const *o = own; *o; o++) {
			if (is_option(json_string_value(v), *o))
				return error_set(
					err, -EINVAL,
					"the target's argument %s is not for choosing: its "
					"socket and configuration are the accelerator's, and "
					"it is to serve as soon as it has started",
					*o);
		}
	}
	return 0;
}

static bool is_word(const char *text, size_t max, const char *extra)
{
	size_t len = strlen(text);

	if (len == 0 || len > max || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr(extra, text[i]))
			return false;
	}
	return true;
}

int check_id(const char *id, struct error *err)
{
	if (is_word(id, STATE_ID_SIZE - 1, "._-"))
		return 0;
	return error_set(err, -EINVAL,
			 "accelerator id \"%.100s\": allowed are 1 to %d letters, digits, '.', "
			 "'_', '-', beginning with a letter or digit",
			 id, STATE_ID_SIZE - 1);
}

int check_instance(const char *instance, struct error *err)
{
	if (is_word(instance, STATE_NAME_SIZE - 1, "._-:"))
		return 0;
	return error_set(err, -EINVAL,
			 "instance \"%.150s\": allowed are 1 to %d letters, digits, '.', '_', "
			 "'-', ':', beginning with a letter or digit",
			 instance, STATE_NAME_SIZE - 1);
}

static bool nqn_is_valid(const char *nqn)
{
	int year, month, used = 0;
	struct uuid uuid;
	size_t len = strlen(nqn);

	if (len > STATE_NQN_SIZE - 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)nqn[i] <= ' ' || nqn[i] == 0x7f)
			return false;
	}
	if (!strncmp(nqn, "nqn.2014-08.org.nvmexpress:uuid:", 32))
		return uuid_from_text(&uuid, nqn + 32) == 0;
	if (sscanf(nqn, "nqn.%4d-%2d.%n", &year, &month, &used) != 2 || used != 12)
		return false;
	return month >= 1 && month <= 12 && isalnum((unsigned char)nqn[used]);
}

int check_nqn(const char *what, const char *nqn, struct error *err)
{
	if (nqn_is_valid(nqn))
		return 0;
	return error_set(err, -EINVAL,
			 "%s \"%.230s\" is no NQN: write nqn.yyyy-mm.reversed.domain:name or "
			 "nqn.2014-08.org.nvmexpress:uuid:UUID (a host shows its own in "
			 "/etc/nvme/hostnqn)",
			 what, nqn);
}

/* "a:b:c" is an IPv6 address, "a:b" address and port, "[a]:b" an IPv6 address with a port. */
static int split_listen(const char *text, char *address, size_t size, const char **port)
{
	const char *colon = strchr(text, ':'), *end;
	size_t len;

	*port = NULL;
	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			*port = end + 2;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		*port = colon + 1;
	} else {
		end = text + strlen(text);
	}
	len = (size_t)(end - text);
	if (len == 0 || len >= size)
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	return 0;
}

static int address_check(const char *text, struct attachment *out, struct error *err)
{
	unsigned char raw[16], zero[16] = { 0 };
	size_t len = 4;

	snprintf(out->family, sizeof(out->family), "IPv4");
	if (inet_pton(AF_INET, out->address, raw) != 1) {
		len = 16;
		snprintf(out->family, sizeof(out->family), "IPv6");
		if (inet_pton(AF_INET6, out->address, raw) != 1)
			return error_set(err, -EINVAL,
					 "listen \"%.100s\": give a numeric IPv4 or IPv6 address "
					 "of this node, with :PORT behind it if it matters",
					 text);
	}
	/* One spelling of each, by which attachments and listeners are compared. */
	inet_ntop(len == 4 ? AF_INET : AF_INET6, raw, out->address, sizeof(out->address));
	if (!memcmp(raw, zero, len))
		return error_set(err, -EINVAL,
				 "listen \"%.100s\" means every address: give the one address that "
				 "the host will connect to",
				 text);
	return 0;
}

int parse_listen(const char *text, struct attachment *out, struct error *err)
{
	const char *port_text;
	uint64_t port = 0;
	int rc = split_listen(text, out->address, sizeof(out->address), &port_text);

	if (rc == 0 && port_text &&
	    (parse_u64(port_text, &port) != 0 || port == 0 || port > UINT16_MAX))
		rc = -EINVAL;
	if (rc < 0)
		return error_set(err, rc,
				 "listen \"%.100s\": allowed are ADDR, ADDR:PORT, [ADDR6]:PORT "
				 "with a port between 1 and 65535",
				 text);
	out->port = (uint16_t)port;
	return address_check(text, out, err);
}

int check_type(const json_t *request, struct error *err)
{
	const char *type = request_text(request, "type", err);

	if (!type || !strcmp(type, "nvmf"))
		return err->code;
	return error_set(err, -EINVAL, "type \"%.50s\" is not supported: nvmf is", type);
}
