/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real cyborg-spdk-blob, run on what is on a disk.
 *
 * Threading: a fiber of the only reactor, which waits for the program.
 */
#ifndef TESTS_CRASH_MEND_H
#define TESTS_CRASH_MEND_H

#include "disk.h"

/**
 * mend_run() - `@tool repair --yes` on the content of @disk, by way of a temporary file
 * @text: what the program printed, cut at @size
 *
 * Changes of the disk can be undone like any write.
 *
 * Return: the exit code of the program, 128 and more when a signal ended it.
 */
int mend_run(const char *tool, struct disk *disk, char *text, size_t size);

#endif
