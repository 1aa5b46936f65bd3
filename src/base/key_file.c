/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets as text, see key_file.h.
 *
 * Threading: pure functions; key_file_read() blocks.
 */
#include "base/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/le.h"

#define CRC_BYTES 4u
#define TEXT_MAX  512u
#define RAW_MAX	  (KEY_BYTES_MAX + CRC_BYTES)

const struct key_form key_form_dhchap = { .prefix = "DHHC-1:", .bytes_max = 64 };
const struct key_form key_form_tls = { .prefix = "NVMeTLSkey-1:", .bytes_max = 48 };

static int no_key(const struct key_form *form, struct error *err, const char *what)
{
	bool three = form->bytes_max == 64;

	return error_set(err, -EINVAL,
			 "the key %s: it is written %sHH:BASE64:, HH from 00 to %s, of %s bytes "
			 "and their CRC-32",
			 what, form->prefix, three ? "03" : "02",
			 three ? "32, 48 or 64" : "32 or 48");
}

/* --- base64 (RFC 4648, 4) --------------------------------------------------------------------- */

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Return: bytes, at most RAW_MAX, or 0 for what is no base64 of so many. */
static size_t decode(const char *text, size_t len, uint8_t out[static RAW_MAX + 2])
{
	size_t padding = 0, n = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	if (len == 0 || len % 4 != 0 || len / 4 * 3 - padding > RAW_MAX)
		return 0;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t word = 0;

		for (size_t k = i; k < i + 4; k++) {
			int value = k >= len - padding ? 0 : digit(text[k]);

			if (value < 0)
				return 0;
			word = word << 6 | (uint32_t)value;
		}
		out[n++] = (uint8_t)(word >> 16);
		out[n++] = (uint8_t)(word >> 8);
		out[n++] = (uint8_t)word;
	}
	return n - padding;
}

/* --- secrets ---------------------------------------------------------------------------------- */

/* SHA-256, SHA-384 and SHA-512 have secrets as long as they are. */
static size_t length_of(uint8_t hash)
{
	return 16u + 16u * hash;
}

static int take_raw(struct key *key, const struct key_form *form, const uint8_t *raw, size_t len,
		    struct error *err)
{
	size_t bytes = len - CRC_BYTES;

	if (len < CRC_BYTES || bytes < 32 || bytes > form->bytes_max || bytes % 16 != 0)
		return no_key(form, err, "has a wrong length");
	if (crc32_gzip_refl(0, raw, bytes) != le32_get(raw + bytes))
		return no_key(form, err, "does not fit its CRC-32");
	if (key->hash && bytes != length_of(key->hash))
		return no_key(form, err, "has not the length of its hash");
	memcpy(key->bytes, raw, bytes);
	key->len = (uint8_t)bytes;
	return 0;
}

int key_parse(const char *text, const struct key_form *form, struct key *key, struct error *err)
{
	size_t prefix = strlen(form->prefix), len;
	uint8_t raw[RAW_MAX + 2];
	const char *end;
	int rc;

	memset(key, 0, sizeof(*key));
	if (strncmp(text, form->prefix, prefix) != 0 || text[prefix] != '0')
		return no_key(form, err, "does not begin so");
	text += prefix + 1;
	if (*text < '0' || *text > '3' || text[1] != ':' ||
	    (*text > '0' && length_of((uint8_t)(*text - '0')) > form->bytes_max))
		return no_key(form, err, "does not begin so");
	key->hash = (uint8_t)(*text - '0');
	text += 2;
	end = strchr(text, ':');
	if (!end || end[1 + strspn(end + 1, "\r\n")] != '\0')
		return no_key(form, err, "does not end so");
	len = decode(text, (size_t)(end - text), raw);
	rc = take_raw(key, form, raw, len, err);
	key->line_end = end[1] != '\0';
	explicit_bzero(raw, sizeof(raw));
	return rc;
}

/* --- files ------------------------------------------------------------------------------------ */

static int check_file(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "key file %s is no regular file", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return error_set(
			err, -EPERM,
			"key file %s may be read or written by others (mode %04o): chmod 600", path,
			(unsigned int)st.st_mode & 07777);
	return 0;
}

static int read_open(int fd, const char *path, const struct key_form *form, struct key *key,
		     struct error *err)
{
	char text[TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int rc;

	if (n < 0)
		return error_set(err, -errno, "key file %s: %s", path, error_errno_text(-errno));
	text[n] = '\0';
	rc = key_parse(text, form, key, err);
	explicit_bzero(text, sizeof(text));
	return rc < 0 ? error_prefix(err, "file %s: ", path) : 0;
}

int key_file_read(const char *path, const struct key_form *form, struct key *key, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	memset(key, 0, sizeof(*key));
	if (fd < 0)
		return error_set(err, -errno, "key file %s: %s", path, error_errno_text(-errno));
	rc = check_file(fd, path, err);
	if (rc == 0)
		rc = read_open(fd, path, form, key, err);
	close(fd);
	return rc;
}
