/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release (from the build's project version) and commit (from the tag file made at each build).
 *
 * Threading: constants.
 */
#include "base/version.h"

#include <stdio.h>

#include "version_commit.h"

const char *version_release(void)
{
	return CYBORG_SPDK_RELEASE;
}

const char *version_commit(void)
{
	return CYBORG_SPDK_COMMIT;
}

void version_print(const char *program)
{
	printf("%s (cyborg-spdk) %s, commit %s\n", program, version_release(), version_commit());
}
