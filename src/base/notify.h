/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a service manager that we are up, and that we leave (sd_notify(3)).
 *
 * Threading: any thread.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/** notify_send() - send @state ("READY=1") to $NOTIFY_SOCKET; nothing happens when there is none */
void notify_send(const char *state);

#endif
