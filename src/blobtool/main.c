/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-blob: look at, check, repair, make Blobstores on images and devices, without a
 * target.
 *
 * Threading: one thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "base/version.h"
#include "blobtool/tool.h"

static const struct tool_verb verbs[] = {
	{ "inspect", "IMAGE", "show super block, stores, volumes and their tree",
	  "It shows what a load would find; damaged blobs are listed apart.", 1, 1, verb_inspect },
	{ "map", "IMAGE", "show who owns which clusters, as text or SVG",
	  "Each volume has a letter and a colour; a cell stands for one cluster or for several.", 1,
	  1, verb_map },
	{ "check", "IMAGE", "check every invariant; change nothing",
	  "Each finding is named with its page and cluster. The exit code is 8 when something is\n"
	  "wrong.",
	  1, 1, verb_check },
	{ "repair", "IMAGE", "make a damaged store load again",
	  "It says what it will do and asks. What it replaces is kept in a file, which --undo "
	  "plays\n"
	  "back. Changes that may lose something are made only when --allow names them:\n"
	  "  holes     clusters whose place is lost read as zeroes\n"
	  "  truncate  a volume ends where its metadata ends\n"
	  "  detach    a volume without its snapshot reads zeroes for what it had there\n"
	  "  drop      blobs that cannot be read at all are deleted\n"
	  "  super     the store's name and UUID are made anew\n"
	  "  version   a super block of an unknown version is taken as version 3\n"
	  "  page      a plausible page is believed against its checksum, in a clean store too",
	  0, 1, verb_repair },
	{ "dump", "IMAGE [super | masks | PAGE | PAGE-PAGE | BLOB-ID]...",
	  "show metadata pages, decoded and in hexadecimal",
	  "Without a word: the super block and all pages that are not empty. A blob id is written\n"
	  "as 0x100000003; all pages of its chain and its extent pages are shown.",
	  1, 64, verb_dump },
	{ "export", "IMAGE STORE/VOLUME FILE", "write a volume's content to a sparse file",
	  "The volume is named as STORE/VOLUME, by UUID, or by blob id (0x...). FILE is made; - "
	  "is\n"
	  "standard output.",
	  3, 3, verb_export },
	{ "create", "IMAGE STORE [VOLUME=FILE | VOLUME=SIZE]...",
	  "make a store, or volumes in one, from raw or qcow2 files",
	  "A volume with a SIZE is empty. A qcow2 file is converted by qemu-img(1). Where IMAGE "
	  "holds\n"
	  "STORE already, it gets these volumes too.",
	  2, 65536, verb_create },
};

static void overview(FILE *f)
{
	fputs("usage: " PROGRAM " VERB [options] IMAGE ...\n\n"
	      "Blobstores and logical volume stores on an image or device that no target has.\n\n",
	      f);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(f, "  %-8s %s\n", verbs[i].name, verbs[i].what);
	fputs("\n`" PROGRAM " VERB --help` tells the options of a verb.\n", f);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	process_begin();
	log_set_program(PROGRAM);
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		version_print(PROGRAM);
		return TOOL_EXIT_OK;
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
		overview(stdout);
		return tool_finish(TOOL_EXIT_OK);
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(word, verbs[i].name)) {
			int code = verbs[i].run(&verbs[i], argc - 1, argv + 1);

			tool_obey_interrupt();
			return code;
		}
	}
	if (word[0] == '\0')
		overview(stderr);
	else
		fprintf(stderr, PROGRAM ": verb \"%.50s\" is not known; --help lists all\n", word);
	return TOOL_EXIT_USAGE;
}
