/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a trace file around its records: header, chunks, index, tail. Everything is
 * little-endian. docs/trace-format.md says what each byte means; this file only has the numbers, and
 * the two must agree.
 *
 *   header | chunk | chunk | ... | chunk of the index | tail
 *
 * A chunk carries all that is needed to read it. Only a file that was closed has index and tail.
 */
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H

#include <stdint.h>

#define TRACE_MAGIC "\x89STALLT\n"
#define TRACE_TAIL_MAGIC "STALLEND"
#define TRACE_MAGIC_SIZE 8
#define TRACE_MAJOR 1 /* another one cannot be read */
#define TRACE_MINOR 0 /* a greater one has more, which is passed over */

/* The header: fixed part, items, CRC-32C of both with flags and index_offset as 0. */
enum header_at {
	HEADER_MAGIC = 0,
	HEADER_MAJOR = 8,  /* u16 */
	HEADER_MINOR = 10, /* u16 */
	HEADER_SIZE = 12,  /* u32: of all of it */
	HEADER_FLAGS = 16, /* u32 */
	HEADER_ITEMS = 20, /* u32: how many */
	HEADER_INDEX = 24, /* u64: offset of the index' chunk; 0 none */
	HEADER_BEGIN = 32, /* u64: time of the first event */
	HEADER_WALL = 40,  /* u64: wall clock = time + this */
	HEADER_FIXED = 48,
};
#define HEADER_SIZE_MAX (1u << 20)
#define HEADER_INCOMPLETE 1u

/* An item: number, length, bytes; both varints. */
enum trace_item {
	ITEM_HOST = 1,
	ITEM_PROGRAM = 2, /* "stalltop 0.1.0" */
	ITEM_CLOCK = 3,	  /* "CLOCK_MONOTONIC" */
	ITEM_KERNEL = 4,  /* uname -r */
	ITEM_BINARY = 5,  /* build-id in hex, blank, path */
	ITEM_SETTING = 6, /* RULE.KEY=VALUE as given to --set */
	ITEM_RULE = 7,	  /* a rule that is not built in: name of its file, a NUL, its text */
};

enum chunk_at {
	CHUNK_MAGIC = 0,
	CHUNK_TYPE = 4,	     /* u16 */
	CHUNK_FLAGS = 6,     /* u16: 0 */
	CHUNK_STORED = 8,    /* u32: bytes that follow the head: one zstd frame */
	CHUNK_RAW = 12,	     /* u32: what they unpack to */
	CHUNK_SEQ = 16,	     /* u64: 0, 1, 2, ... */
	CHUNK_FIRST = 24,    /* u64: time of its first event */
	CHUNK_LAST = 32,     /* u64: latest time in it */
	CHUNK_LOST = 40,     /* u64: sum of its EV_LOST */
	CHUNK_EVENTS = 48,   /* u32 */
	CHUNK_CRC = 52,	     /* u32: CRC-32C of the stored bytes */
	CHUNK_PAD = 56,	     /* u32: 0 */
	CHUNK_HEAD_CRC = 60, /* u32: CRC-32C of the 60 bytes before */
	CHUNK_HEAD = 64,
};
#define CHUNK_MAGIC_VALUE 0x4b484353u /* "SCHK" */

enum chunk_type {
	CHUNK_DATA = 1,	    /* what happened */
	CHUNK_KEYFRAME = 2, /* what is known at this moment: for who begins to read here */
	CHUNK_INDEX = 3,    /* where the chunks are */
};

enum tail_at {
	TAIL_MAGIC = 0,
	TAIL_INDEX = 8,	  /* u64: offset of the index' chunk */
	TAIL_CHUNKS = 16, /* u64: how many it lists */
	TAIL_CRC = 24,	  /* u32: CRC-32C of the 24 bytes before */
	TAIL_PAD = 28,
	TAIL_SIZE = 32,
};

#endif
