/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a service manager that we are up, that we live, and that we leave (sd_notify(3),
 * sd_watchdog_enabled(3)). The protocol is a promise of systemd's, and smaller than a library for
 * it.
 *
 * Threading: any thread.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

/** notify_send() - send @state ("READY=1") to $NOTIFY_SOCKET; nothing happens when there is none */
void notify_send(const char *state);
/** notify_watchdog_ns() - how often to send WATCHDOG=1, half of what is asked for; 0: never */
uint64_t notify_watchdog_ns(void);

#endif
