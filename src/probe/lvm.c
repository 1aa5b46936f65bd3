/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume group of an LVM physical volume: by its own metadata, for what device-mapper shows
 * names only volumes that are active on it.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/le.h"
#include "probe/internal.h"

/*
 * lib/format_text/layout.h and lib/label/label.h of LVM2, bytes: the label stands in one of the
 * first four sectors; it leads to a header with a list of data areas and a list of metadata areas,
 * each ended by zeroes; a metadata area starts with where its text is.
 */
#define SECTOR		  512
#define LABEL_SECTORS	  4
#define LABEL_MAGIC	  "LABELONE"
#define LABEL_OFFSET	  20 /* of the header, u32 */
#define HEADER_AREAS	  40 /* behind the identity and the size of the device */
#define AREA_BYTES	  16
#define METADATA_MAGIC	  " LVM2 x[5A%r0N*>"
#define METADATA_MAGIC_AT 4
#define METADATA_SIZE	  32
#define METADATA_TEXT	  40

#define GROUP_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-"

/* Return: where the first metadata area is; 0 when there is none. */
static uint64_t metadata_at(const uint8_t *sector, size_t header)
{
	unsigned int lists = 0;

	for (size_t at = header + HEADER_AREAS; at + AREA_BYTES <= SECTOR; at += AREA_BYTES) {
		uint64_t area = le64_get(sector + at);

		if (!area && lists++)
			return 0;
		if (area && lists)
			return area;
	}
	return 0;
}

static uint64_t find_metadata(int fd)
{
	uint8_t sector[SECTOR];

	for (int i = 0; i < LABEL_SECTORS; i++) {
		uint32_t header;

		if (pread(fd, sector, SECTOR, (off_t)i * SECTOR) != SECTOR)
			return 0;
		header = le32_get(sector + LABEL_OFFSET);
		if (!memcmp(sector, LABEL_MAGIC, 8) && header < SECTOR)
			return metadata_at(sector, header);
	}
	return 0;
}

/* The text is a ring behind the area's own sector. Return: whether there is one. */
static bool read_text(int fd, uint64_t area, char text[static SECTOR + 1])
{
	uint8_t head[SECTOR];
	uint64_t at, size;
	size_t len;

	if (area > INT64_MAX / 2 || pread(fd, head, SECTOR, (off_t)area) != SECTOR ||
	    memcmp(head + METADATA_MAGIC_AT, METADATA_MAGIC, 16) != 0)
		return false;
	size = le64_get(head + METADATA_SIZE);
	at = le64_get(head + METADATA_TEXT);
	if (size > INT64_MAX / 4 || at < SECTOR || at >= size)
		return false;
	len = size - at < SECTOR ? (size_t)(size - at) : SECTOR;
	memset(text, 0, SECTOR + 1);
	if (pread(fd, text, len, (off_t)(area + at)) != (ssize_t)len)
		return false;
	return len == SECTOR || pread(fd, text + len, SECTOR - len, (off_t)(area + SECTOR)) ==
					(ssize_t)(SECTOR - len);
}

/* NAME {\nid = "ABCDEF-ABCD-..." */
static void parse_text(const char *text, struct probe_lvm *out)
{
	size_t len = strspn(text, GROUP_CHARS), n = 0;
	const char *id = strstr(text, "id = \"");

	if (!len || len >= sizeof(out->group) || strncmp(text + len, " {", 2) != 0)
		return;
	memcpy(out->group, text, len);
	for (id = id ? id + 6 : ""; *id && *id != '"' && n < sizeof(out->id) - 1; id++) {
		if (*id != '-')
			out->id[n++] = *id;
	}
}

void probe_lvm_read(int fd, struct probe_lvm *out)
{
	uint64_t area = find_metadata(fd);
	char text[SECTOR + 1];

	memset(out, 0, sizeof(*out));
	if (area && read_text(fd, area, text))
		parse_text(text, out);
}

bool probe_lvm_active(struct probe *p, const struct probe_lvm *lvm, char *name, size_t size)
{
	DIR *dir = strlen(lvm->id) == 32 ? probe_opendir(p, "/sys/block") : NULL;
	bool found = false;
	struct dirent *e;
	char uuid[160];

	while (dir && !found && (e = readdir(dir))) {
		found = !strncmp(e->d_name, "dm-", 3) &&
			probe_read(p, uuid, sizeof(uuid), "/sys/block/%s/dm/uuid", e->d_name) &&
			!strncmp(uuid, "LVM-", 4) && !strncmp(uuid + 4, lvm->id, 32) &&
			probe_read(p, name, size, "/sys/block/%s/dm/name", e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A hyphen of a name is doubled. */
void probe_lvm_names(const char *name, char group[static 128], char volume[static 128])
{
	char *out = group;
	size_t n = 0;

	group[0] = volume[0] = '\0';
	for (; *name; name++) {
		if (name[0] == '-' && name[1] == '-') {
			name++;
		} else if (name[0] == '-' && out == group) {
			out = volume;
			n = 0;
			continue;
		}
		if (n < 127) {
			out[n++] = *name;
			out[n] = '\0';
		}
	}
}
