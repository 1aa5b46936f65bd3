/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cycle counter: the CPU's own where it runs at one constant rate on all cores.
 *
 * Threading: which counter is decided by a constructor, before there is a second thread; its rate
 * is measured once, under pthread_once().
 */
#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

static pthread_once_t hz_once = PTHREAD_ONCE_INIT;
static uint64_t hz;

#if defined(__x86_64__)
/* A measurement over this long is right to about 20 parts in a million. */
#define MEASURE_NS (2 * NS_PER_MSEC)
#define SAMPLES	   8

struct sample {
	uint64_t ticks;
	uint64_t ns;
};

static bool tsc_constant;
static struct sample first;

uint64_t clock_ticks(void)
{
	return tsc_constant ? __rdtsc() : clock_ns();
}

/* Of several readings, the one whose two clocks were read closest together. */
static struct sample sample_take(void)
{
	struct sample best = { 0, 0 };
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t before = __rdtsc(), ns = clock_ns(), after = __rdtsc();

		if (after - before < narrowest) {
			narrowest = after - before;
			best = (struct sample){ before + (after - before) / 2, ns };
		}
	}
	return best;
}

/* CPUID Fn8000_0007, EDX bit 8: the TSC keeps its rate in all P-, C- and T-states. */
__attribute__((constructor)) static void tsc_probe(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) || !(edx & (1U << 8)))
		return;
	tsc_constant = true;
	/* The measurement starts with the program, so that mostly nobody waits for its end. */
	first = sample_take();
}

static void hz_measure(void)
{
	struct sample last;

	hz = NS_PER_SEC;
	if (!tsc_constant)
		return;
	while (clock_ns() - first.ns < MEASURE_NS)
		_mm_pause();
	last = sample_take();
	hz = (uint64_t)((unsigned __int128)(last.ticks - first.ticks) * NS_PER_SEC /
			(last.ns - first.ns));
}
#elif defined(__aarch64__)
/* Arm ARM, D11: the generic timer runs at the rate of CNTFRQ_EL0, the same on all cores. */
uint64_t clock_ticks(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

static void hz_measure(void)
{
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
}
#else
uint64_t clock_ticks(void)
{
	return clock_ns();
}

static void hz_measure(void)
{
	hz = NS_PER_SEC;
}
#endif

uint64_t clock_ticks_hz(void)
{
	pthread_once(&hz_once, hz_measure);
	return hz;
}
