/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Schedulers that carry the probe points of <stalltop/sdt.h>; docs/sdt.md is their contract. */
#ifndef RUNTIME_USDT_H
#define RUNTIME_USDT_H

#include "runtime/runtime.h"
#include "target/note.h"

extern const struct runtime_ops usdt_runtime;

#endif
