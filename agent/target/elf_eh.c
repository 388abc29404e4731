// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where functions begin by .eh_frame_hdr, which stripped files have, too. */
#include "target/elf.h"

#define EH_HDR_COUNT_U4 0x03 /* DW_EH_PE_udata4 */
#define EH_HDR_TABLE 0x3b    /* DW_EH_PE_datarel | DW_EH_PE_sdata4: what all linkers write */
#define EH_HDR_PTR_S4 0x1b   /* DW_EH_PE_pcrel | DW_EH_PE_sdata4 */

/* An entry of the table: both relative to the header. */
static bool read_entry(const struct elf_file *f, uint64_t at, uint64_t *start)
{
	int32_t word;

	if (elf_read(f, at, &word, sizeof(word)))
		return false;
	*start = f->eh_hdr.start + (uint64_t)(int64_t)word;
	return true;
}

uint64_t elf_function_start(const struct elf_file *f, uint64_t vaddr)
{
	uint64_t table, low = 0, high, start, found = 0;
	struct {
		uint8_t version, ptr, count, table;
		int32_t frame;
		uint32_t entries;
	} head;

	if (elf_read(f, f->eh_hdr.start, &head, sizeof(head)) || head.version != 1 ||
	    head.ptr != EH_HDR_PTR_S4 || head.count != EH_HDR_COUNT_U4 ||
	    head.table != EH_HDR_TABLE)
		return 0;
	table = f->eh_hdr.start + sizeof(head);
	high = head.entries;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (!read_entry(f, table + middle * 8, &start))
			return 0;
		if (start <= vaddr) {
			found = start;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return found;
}
