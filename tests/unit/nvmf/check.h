/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cmocka wants before its header.
 *
 * Threading: none.
 */
#ifndef NVMF_TEST_CHECK_H
#define NVMF_TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
