/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian fields of wire and disk formats, at any alignment.
 *
 * Threading: pure functions.
 */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define LE_DEFINE(bits)                                                                            \
	static inline uint##bits##_t le##bits##_get(const void *p)                                 \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		memcpy(&v, p, sizeof(v));                                                          \
		return le##bits##toh(v);                                                           \
	}                                                                                          \
	static inline void le##bits##_put(void *p, uint##bits##_t v)                               \
	{                                                                                          \
		v = htole##bits(v);                                                                \
		memcpy(p, &v, sizeof(v));                                                          \
	}

LE_DEFINE(16)
LE_DEFINE(32)
LE_DEFINE(64)

#undef LE_DEFINE

#endif
