/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health of a disk: the SMART log page of an NVMe device where this user may ask for it, otherwise
 * what sysfs and hwmon tell; which of them it was is said.
 *
 * Threading: as probe.h.
 */
#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "probe/internal.h"

#define NVME_ADMIN_GET_LOG_PAGE 0x02
#define NVME_LOG_SMART		0x02
#define NVME_ALL_NAMESPACES	0xffffffffu
#define KELVIN			273
#define DATA_UNIT		512000 /* a thousand blocks of 512 bytes */

/* NVMe base 2.0, figure 207: SMART / Health Information; numbers are little-endian. */
struct smart_log {
	uint8_t critical_warning;
	uint8_t temperature[2];
	uint8_t available_spare;
	uint8_t spare_threshold;
	uint8_t percentage_used;
	uint8_t reserved6[26];
	uint8_t data_units_read[16];
	uint8_t data_units_written[16];
	uint8_t host_reads[16];
	uint8_t host_writes[16];
	uint8_t busy_time[16];
	uint8_t power_cycles[16];
	uint8_t power_on_hours[16];
	uint8_t unsafe_shutdowns[16];
	uint8_t media_errors[16];
	uint8_t error_log_entries[16];
	uint8_t rest[320];
};
_Static_assert(sizeof(struct smart_log) == 512, "SMART log page");

/* The upper half of these 128 bits has never been seen set: capped, not cut. */
static uint64_t number(const uint8_t bytes[static 16])
{
	uint64_t v = 0;

	for (int i = 15; i >= 8; i--) {
		if (bytes[i])
			return UINT64_MAX;
	}
	for (int i = 7; i >= 0; i--)
		v = v << 8 | bytes[i];
	return v;
}

static uint64_t units(const uint8_t bytes[static 16])
{
	uint64_t v = number(bytes);

	return v > INT64_MAX / DATA_UNIT ? INT64_MAX : v * DATA_UNIT;
}

static void take_smart(struct probe_health *h, const struct smart_log *log)
{
	int kelvin = log->temperature[0] | log->temperature[1] << 8;

	h->smart = true;
	h->critical_warning = log->critical_warning;
	if (kelvin)
		h->temperature = kelvin - KELVIN;
	h->available_spare = log->available_spare;
	h->spare_threshold = log->spare_threshold;
	h->percentage_used = log->percentage_used;
	h->bytes_read = units(log->data_units_read);
	h->bytes_written = units(log->data_units_written);
	h->power_cycles = number(log->power_cycles);
	h->power_on_hours = number(log->power_on_hours);
	h->unsafe_shutdowns = number(log->unsafe_shutdowns);
	h->media_errors = number(log->media_errors);
	h->error_log_entries = number(log->error_log_entries);
}

/* With the kernel's own time limit: a shorter one of ours would make it reset the controller. */
void probe_health_smart(struct probe_health *h, int fd)
{
	struct smart_log log;
	struct nvme_admin_cmd cmd = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = NVME_ALL_NAMESPACES,
		.addr = (uint64_t)(uintptr_t)&log,
		.data_len = sizeof(log),
		.cdw10 = (sizeof(log) / 4 - 1) << 16 | NVME_LOG_SMART,
	};
	int rc;

	memset(&log, 0, sizeof(log));
	rc = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);
	if (rc == 0)
		take_smart(h, &log);
	else if (rc > 0)
		snprintf(h->note, sizeof(h->note),
			 "the device refused its SMART log (NVMe status 0x%x)", rc);
	else
		snprintf(h->note, sizeof(h->note), "the SMART log was not given: %s%s",
			 error_errno_text(-errno),
			 errno == EACCES || errno == EPERM ? " (run as root)" : "");
}

static bool read_temperature(struct probe *p, struct probe_health *h, const char *dir_path)
{
	DIR *dir = probe_opendir(p, "%s", dir_path);
	bool found = false;
	struct dirent *e;
	char text[32];

	while (dir && !found && (e = readdir(dir))) {
		if (strncmp(e->d_name, "hwmon", 5) != 0)
			continue;
		found = probe_read(p, text, sizeof(text), "%s/%s/temp1_input", dir_path, e->d_name);
		if (found)
			h->temperature = atoi(text) / 1000;
	}
	if (dir)
		closedir(dir);
	return found;
}

void probe_health_sysfs(struct probe *p, struct probe_health *h, const char *sys)
{
	char path[PATH_MAX];

	h->temperature = PROBE_TEMPERATURE_UNKNOWN;
	probe_read(p, h->state, sizeof(h->state), "%s/device/state", sys);
	snprintf(path, sizeof(path), "%.4000s/device", sys);
	if (read_temperature(p, h, path))
		return;
	snprintf(path, sizeof(path), "%.4000s/device/hwmon", sys);
	read_temperature(p, h, path);
}

static const struct {
	unsigned int bit;
	const char *text;
	bool unfit;
} warnings[] = {
	{ 0x01, "its spare blocks are below the threshold", true },
	{ 0x02, "its temperature is out of range", false },
	{ 0x04, "its reliability is degraded", true },
	{ 0x08, "its media became read-only", true },
	{ 0x10, "its backup of volatile memory failed", true },
	{ 0x20, "its persistent memory region became unreliable", false },
};

const char *probe_health_warning(unsigned int critical_warning, size_t i)
{
	for (size_t k = 0; k < sizeof(warnings) / sizeof(warnings[0]); k++) {
		if ((critical_warning & warnings[k].bit) && i-- == 0)
			return warnings[k].text;
	}
	return NULL;
}

int probe_find_health(struct probe_device *d)
{
	const struct probe_health *h = &d->health;

	if (!strcmp(h->state, "dead") || !strcmp(h->state, "offline"))
		return probe_find(d, PROBE_REASON_HEALTH, PROBE_UNFIT,
				  "look into the kernel's log, replace it", "%s is %s", d->path,
				  h->state);
	for (size_t k = 0; h->smart && k < sizeof(warnings) / sizeof(warnings[0]); k++) {
		if (warnings[k].unfit && (h->critical_warning & warnings[k].bit))
			return probe_find(d, PROBE_REASON_HEALTH, PROBE_UNFIT, "replace it",
					  "%s reports a critical warning: %s", d->path,
					  warnings[k].text);
	}
	return 0;
}
