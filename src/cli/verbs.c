/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: their words and which options they have.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static int too_many(const char *word, struct error *err)
{
	return error_set(err, -EINVAL, "the word \"%.100s\" is one too many", word);
}

/* ID [TYPE] */
static int take_id_type(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->id = words[0];
	if (count > 1)
		a->type = words[1];
	return count > 2 ? too_many(words[2], err) : 0;
}

static int take_id(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->id = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

static int take_instance(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0 && a->instance)
		return error_set(err, -EINVAL,
				 "the instance is given twice: \"%.100s\" and --instance",
				 words[0]);
	if (count > 0)
		a->instance = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

static int take_type(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->type = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

/* The blueprint's driver-list names a type; a scenario may stand there too; all else is a path. */
static int take_list(struct cli_args *a, int count, char **words, struct error *err)
{
	for (int i = 0; i < count; i++) {
		const char **more;

		if (!strcmp(words[i], "nvmf") || !strcmp(words[i], "vhost")) {
			a->type = words[i];
			continue;
		}
		if (!strcmp(words[i], "blobstore") || !strcmp(words[i], "ceph")) {
			a->scenario = words[i];
			continue;
		}
		more = realloc(a->paths.items, (a->paths.count + 1) * sizeof(*more));
		if (!more)
			return error_set(err, -ENOMEM, "out of memory");
		a->paths.items = more;
		more[a->paths.count++] = words[i];
	}
	return 0;
}

const struct cli_verb cli_verbs[] = {
	{ "discover", "discover-driver", "[TYPE]",
	  "show the node, its devices, SPDK kits and running targets",
	  "Changes nothing. Devices of other users need root to be judged.", "", take_type,
	  cyborg_spdk_discover, print_discover },
	{ "list", "driver-list", "[SCENARIO] [FILE|DEVICE...]",
	  "rank the candidates for a scenario, with yes or no and why",
	  "SCENARIO is blobstore (default) or ceph. Files and devices that are named are judged\n"
	  "too; the serial that is shown is what `install --force` wants to hear. Changes nothing.",
	  "S", take_list, cyborg_spdk_list, print_list },
	{ "install", "install-driver", "ID [TYPE]",
	  "start a supervised target on a file, a device, a PCI function, memory, or a Ceph "
	  "cluster",
	  "ID names the accelerator from now on. The backing must be unused and empty; --size "
	  "makes\n"
	  "a new file. Data found on it is refused unless its serial is named. The scenario "
	  "`whole`\n"
	  "attaches the backing as it is; `blobstore` makes a store of volumes on it, or takes "
	  "over\n"
	  "the one that is there; `ceph` attaches images of a cluster. An NVMe function is named "
	  "by "
	  "its\n"
	  "PCI address, for an SPDK that drives it itself on vfio-pci. TYPE is nvmf.",
	  "bzmRoueEUtFagGBZOy", take_id_type, cyborg_spdk_install, print_install },
	{ "attach", "attach-instance", "[INSTANCE]",
	  "export a backing, volume or image to an instance and prove the data path",
	  "Only the host with that NQN may connect, with its keys where they are given. On a "
	  "store:\n"
	  "--size makes a volume (thin, named as --volume says, else after the instance), "
	  "--volume\n"
	  "takes one that is there, --clone makes one from a snapshot. A volume that is written to "
	  "is\n"
	  "shown --read-only as a snapshot of it. The same call again gives the same answer.",
	  "ihclzVCTrqpdDPI", take_instance, cyborg_spdk_attach, print_attach },
	{ "detach", "detach-instance", "[INSTANCE]", "take an export back",
	  "Waits until the host has disconnected. The volume is kept, unless its deletion is "
	  "asked\n"
	  "for, or attach made it and nobody could write to it (read-only clones and snapshots).",
	  "iwfKxW", take_instance, cyborg_spdk_detach, print_detach },
	{ "update", "update-driver", "[ID [TYPE]]",
	  "replace the running target by another build of it",
	  "Every export comes back with the same NQN, NSID, UUID, serial and model, proved by\n"
	  "connecting as its host; otherwise the old build does. The stall of I/O is told.",
	  "tagGv", take_id_type, cyborg_spdk_update, print_update },
	{ "uninstall", "uninstall-driver", "ID [TYPE]",
	  "stop the target and remove what install made",
	  "Refused while an instance is attached, and while a store that install made has "
	  "volumes,\n"
	  "unless their loss is consented to. A store that was taken over stays as it is.",
	  "kxX", take_id_type, cyborg_spdk_uninstall, print_uninstall },
	{ "status", NULL, "[ID]", "show the health of each piece, and what is not as recorded",
	  "Changes nothing. The exit code is 8 when something is degraded or down.", "", take_id,
	  cyborg_spdk_status, print_status },
	{ "recover", NULL, "[ID]", "bring back what is not as recorded",
	  "Completes or undoes interrupted verbs, starts targets that are down, and brings back "
	  "every\n"
	  "attachment. The exit code is 8 when something could not be brought back.",
	  "", take_id, cyborg_spdk_recover, print_recover },
	{ 0 },
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!strcmp(v->name, name) || (v->alias && !strcmp(v->alias, name)))
			return v;
	}
	return NULL;
}
