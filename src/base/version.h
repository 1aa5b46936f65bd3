/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `--version` says: release and commit.
 *
 * Threading: constants.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/** version_release() - "0.1.0" */
const char *version_release(void);
/** version_commit() - abbreviated commit, "-dirty" behind it for a changed tree, or "unknown" */
const char *version_commit(void);
/** version_print() - "PROGRAM (cyborg-spdk) 0.1.0, commit abcdef" and a newline on stdout */
void version_print(const char *program);

#endif
