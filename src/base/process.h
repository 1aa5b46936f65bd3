/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program sets right that its caller may have left wrong.
 *
 * Threading: at the beginning of main().
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/**
 * process_begin() - the first thing that main() does
 *
 * Standard streams that are closed are opened on /dev/null: a database, a lock or a device opened
 * later would get their numbers, and what is printed would go there. SIGCHLD is no longer ignored,
 * else the ends of children could not be waited for.
 */
void process_begin(void);

#endif
