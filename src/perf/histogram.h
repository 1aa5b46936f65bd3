/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of latencies: 64 steps to each power of two, so that a percentile is right within
 * 1.6 %, in constant memory.
 *
 * Threading: a histogram belongs to one thread; others are added when that thread has ended with
 * it.
 */
#ifndef PERF_HISTOGRAM_H
#define PERF_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u
#define HISTOGRAM_SUB	   (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS  ((64u - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t min, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
/** histogram_merge() - add what @from counted to @h */
void histogram_merge(struct histogram *h, const struct histogram *from);
/**
 * histogram_percentile() - the value that @share of 100,000 counted ones do not exceed
 * @share: 50000 for the median, 99900 for p99.9
 *
 * Return: upper edge of its step, not over the maximum; 0 without values.
 */
uint64_t histogram_percentile(const struct histogram *h, uint32_t share);

#endif
