// SPDX-License-Identifier: LGPL-2.1-or-later
#include "target/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/elf_impl.h"
#include "util/xalloc.h"

#define NOTE_MAX 65536 /* bytes of one PT_NOTE that are looked at */

static const struct {
	uint16_t machine;
	const char *name;
} machines[] = {
	{EM_386, "i386"},	 {EM_ARM, "ARM"},	  {EM_AARCH64, "AArch64"},
	{EM_RISCV, "RISC-V"},	 {EM_PPC64, "PowerPC64"}, {EM_S390, "S/390"},
	{EM_MIPS, "MIPS"},	 {EM_PPC, "PowerPC"},	  {EM_LOONGARCH, "LoongArch"},
	{EM_SPARCV9, "SPARC64"},
};

static const char *machine_name(uint16_t machine)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].machine == machine)
			return machines[i].name;
	return NULL;
}

static int check_ident(const Elf64_Ehdr *eh, struct err *err)
{
	const unsigned char *id = eh->e_ident;
	bool swapped = id[EI_DATA] == ELFDATA2MSB;
	uint16_t machine = swapped ? __builtin_bswap16(eh->e_machine) : eh->e_machine;
	uint16_t type = eh->e_type;
	const char *name = machine_name(machine);
	int bits = id[EI_CLASS] == ELFCLASS32 ? 32 : 64;

	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return err_set(err, -EINVAL, "not an ELF file");
	if (bits == 32 && machine == EM_X86_64)
		return err_set(err, -ENOTSUP, "an x32 binary: only 64-bit x86-64 is supported");
	if (bits == 32 || swapped || machine != EM_X86_64) {
		if (!name)
			return err_set(err, -ENOTSUP,
				       "a %d-bit binary of machine %u: only x86-64 is supported",
				       bits, machine);
		return err_set(err, -ENOTSUP, "a %d-bit %s binary: only x86-64 is supported", bits,
			       name);
	}
	if (type != ET_EXEC && type != ET_DYN)
		return err_set(err, -EINVAL, "ELF type %u is neither a program nor a library",
			       type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum)
		return err_set(err, -EINVAL, "no usable program headers");
	if (eh->e_phnum > ELF_MAX_SEGMENTS)
		return err_set(err, -EINVAL, "%u program headers are too many", eh->e_phnum);
	return 0;
}

int elf_pread(const struct elf_file *f, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	if (offset > f->size || len > f->size - offset)
		return -EIO;
	while (done < len) {
		ssize_t n = pread(f->fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

static void build_id_from_note(struct elf_file *f, const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		size_t name, desc;

		memcpy(&nh, p + at, sizeof(nh));
		name = at + sizeof(nh);
		if (nh.n_namesz > len - name)
			return;
		desc = name + (((size_t)nh.n_namesz + 3) & ~(size_t)3);
		if (desc > len || nh.n_descsz > len - desc)
			return;
		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == 4 &&
		    memcmp(p + name, "GNU", 4) == 0 && nh.n_descsz > 0 &&
		    nh.n_descsz <= (ELF_BUILD_ID_HEX - 1) / 2) {
			for (size_t i = 0; i < nh.n_descsz; i++)
				snprintf(f->build_id + 2 * i, 3, "%02x", p[desc + i]);
			return;
		}
		at = desc + (((size_t)nh.n_descsz + 3) & ~(size_t)3);
		if (at > len)
			return;
	}
}

static void read_note(struct elf_file *f, const Elf64_Phdr *ph)
{
	size_t len = ph->p_filesz < NOTE_MAX ? ph->p_filesz : NOTE_MAX;
	uint8_t *buf;

	if (f->build_id[0] || !len)
		return;
	buf = xmalloc(len);
	if (elf_pread(f, ph->p_offset, buf, len) == 0)
		build_id_from_note(f, buf, len);
	free(buf);
}

static struct elf_range phdr_range(const Elf64_Phdr *ph)
{
	struct elf_range r = {0};

	if (ph->p_memsz && ph->p_vaddr + ph->p_memsz > ph->p_vaddr)
		r = (struct elf_range){ph->p_vaddr, ph->p_vaddr + ph->p_memsz};
	return r;
}

static int add_load(struct elf_file *f, const Elf64_Phdr *ph, struct err *err)
{
	struct elf_segment s = {ph->p_vaddr, ph->p_offset, ph->p_filesz, ph->p_memsz, ph->p_flags};
	size_t at = f->n_loads;

	if (s.filesz > s.memsz || s.vaddr + s.memsz < s.vaddr || s.offset + s.filesz < s.offset)
		return err_set(err, -EINVAL, "a broken program header");
	/* A file cut short: what is gone cannot be read, the rest serves. */
	if (s.offset > f->size)
		s.filesz = 0;
	else if (s.filesz > f->size - s.offset)
		s.filesz = f->size - s.offset;
	while (at > 0 && f->loads[at - 1].vaddr > s.vaddr) {
		f->loads[at] = f->loads[at - 1];
		at--;
	}
	f->loads[at] = s;
	f->n_loads++;
	return 0;
}

static int read_phdrs(struct elf_file *f, const Elf64_Ehdr *eh, struct err *err)
{
	Elf64_Phdr *ph = xcalloc(eh->e_phnum, sizeof(*ph));
	int ret = elf_pread(f, eh->e_phoff, ph, eh->e_phnum * sizeof(*ph));

	if (ret) {
		err_set(err, ret, "program headers cannot be read");
		goto cleanup;
	}
	f->loads = xcalloc(eh->e_phnum, sizeof(*f->loads));
	for (size_t i = 0; i < eh->e_phnum && !ret; i++) {
		if (ph[i].p_type == PT_LOAD)
			ret = add_load(f, &ph[i], err);
		else if (ph[i].p_type == PT_INTERP)
			f->has_interp = true;
		else if (ph[i].p_type == PT_GNU_RELRO)
			f->relro = phdr_range(&ph[i]);
		else if (ph[i].p_type == PT_DYNAMIC)
			f->dynamic = phdr_range(&ph[i]);
		else if (ph[i].p_type == PT_GNU_EH_FRAME)
			f->eh_hdr = phdr_range(&ph[i]);
		else if (ph[i].p_type == PT_NOTE)
			read_note(f, &ph[i]);
	}
cleanup:
	free(ph);
	return ret;
}

/* Section headers are optional: whatever is wrong with them, there are none. */
static void read_section_table(struct elf_file *f, const Elf64_Ehdr *eh)
{
	Elf64_Shdr first;
	uint64_t n = eh->e_shnum;

	if (!eh->e_shoff || eh->e_shentsize != sizeof(Elf64_Shdr) ||
	    elf_pread(f, eh->e_shoff, &first, sizeof(first)) != 0)
		return;
	if (!n)
		n = first.sh_size;
	if (!n || n > ELF_MAX_SECTIONS || n > (f->size - eh->e_shoff) / sizeof(Elf64_Shdr))
		return;
	f->shoff = eh->e_shoff;
	f->shnum = (uint32_t)n;
	f->shstrndx = eh->e_shstrndx == SHN_XINDEX ? first.sh_link : eh->e_shstrndx;
}

int elf_open_fd(int fd, struct elf_file **out, struct err *err)
{
	struct elf_file *f = xcalloc(1, sizeof(*f));
	Elf64_Ehdr eh;
	struct stat st;
	int ret;

	*out = NULL;
	f->fd = fd;
	if (fstat(fd, &st) < 0) {
		ret = err_set(err, -errno, "fstat: %s", strerror(errno));
		goto cleanup;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = err_set(err, -EINVAL, "not a regular file");
		goto cleanup;
	}
	f->size = (uint64_t)st.st_size;
	memset(&eh, 0, sizeof(eh));
	/* A 32-bit header is shorter; it must still be told apart. */
	ret = elf_pread(f, 0, &eh, f->size < sizeof(eh) ? f->size : sizeof(eh));
	if (ret) {
		err_set(err, ret, "the ELF header cannot be read");
		goto cleanup;
	}
	ret = check_ident(&eh, err);
	if (!ret)
		ret = read_phdrs(f, &eh, err);
	if (ret)
		goto cleanup;
	f->type = eh.e_type;
	read_section_table(f, &eh);
	*out = f;
	return 0;
cleanup:
	elf_close(f);
	return ret;
}

int elf_open(const char *path, struct elf_file **out, struct err *err)
{
	/* O_NONBLOCK: a FIFO put where a file was must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*out = NULL;
	if (fd < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	return elf_open_fd(fd, out, err);
}

void elf_close(struct elf_file *f)
{
	if (!f)
		return;
	elf_drop_symbols(f);
	elf_drop_relocs(f);
	free(f->loads);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

static const struct elf_segment *segment_at(const struct elf_file *f, uint64_t vaddr)
{
	for (size_t i = 0; i < f->n_loads; i++)
		if (vaddr >= f->loads[i].vaddr && vaddr - f->loads[i].vaddr < f->loads[i].memsz)
			return &f->loads[i];
	return NULL;
}

int elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset)
{
	const struct elf_segment *s = segment_at(f, vaddr);

	if (!s || vaddr - s->vaddr >= s->filesz)
		return -ENOENT;
	*offset = s->offset + (vaddr - s->vaddr);
	return 0;
}

int elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr)
{
	for (size_t i = 0; i < f->n_loads; i++) {
		const struct elf_segment *s = &f->loads[i];

		if (offset >= s->offset && offset - s->offset < s->filesz) {
			*vaddr = s->vaddr + (offset - s->offset);
			return 0;
		}
	}
	return -ENOENT;
}

ssize_t elf_read_some(const struct elf_file *f, uint64_t vaddr, void *buf, size_t len)
{
	const struct elf_segment *s = segment_at(f, vaddr);
	uint64_t into, in_file;
	int ret;

	if (!s)
		return -EFAULT;
	into = vaddr - s->vaddr;
	if (len > s->memsz - into)
		len = s->memsz - into;
	in_file = into < s->filesz ? s->filesz - into : 0;
	if (in_file > len)
		in_file = len;
	if (in_file) {
		ret = elf_pread(f, s->offset + into, buf, in_file);
		if (ret)
			return ret;
	}
	memset((char *)buf + in_file, 0, len - in_file);
	return (ssize_t)len;
}

int elf_read(const struct elf_file *f, uint64_t vaddr, void *buf, size_t len)
{
	ssize_t n = elf_read_some(f, vaddr, buf, len);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EFAULT;
}

bool elf_is_code(const struct elf_file *f, uint64_t vaddr)
{
	const struct elf_segment *s = segment_at(f, vaddr);

	return s && (s->flags & PF_X) && vaddr - s->vaddr < s->filesz;
}

bool elf_is_fixed(const struct elf_file *f)
{
	return f->type == ET_EXEC;
}

static size_t add_range(struct elf_range *out, size_t n, size_t max, const struct elf_segment *s)
{
	if (n == max || !s->filesz)
		return n;
	out[n] = (struct elf_range){s->vaddr, s->vaddr + s->filesz};
	return n + 1;
}

size_t elf_code_ranges(const struct elf_file *f, struct elf_range *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_loads; i++)
		if (f->loads[i].flags & PF_X)
			n = add_range(out, n, max, &f->loads[i]);
	return n;
}

size_t elf_table_ranges(const struct elf_file *f, struct elf_range *out, size_t max)
{
	bool relro = f->relro.end > f->relro.start;
	size_t n = 0;

	if (relro && max)
		out[n++] = f->relro;
	for (size_t i = 0; i < f->n_loads; i++)
		if (!relro && (f->loads[i].flags & PF_W))
			n = add_range(out, n, max, &f->loads[i]);
	for (size_t i = 0; i < f->n_loads; i++)
		if (elf_is_fixed(f) && !(f->loads[i].flags & PF_W))
			n = add_range(out, n, max, &f->loads[i]);
	return n;
}

static int read_shdr(const struct elf_file *f, uint32_t i, Elf64_Shdr *sh)
{
	return elf_pread(f, f->shoff + (uint64_t)i * sizeof(*sh), sh, sizeof(*sh));
}

int elf_section_at(const struct elf_file *f, uint32_t i, struct elf_section *out, uint32_t *name)
{
	Elf64_Shdr sh;

	if (i >= f->shnum || read_shdr(f, i, &sh) != 0)
		return -ENOENT;
	*out = (struct elf_section){.addr = sh.sh_addr,
				    .offset = sh.sh_offset,
				    .size = sh.sh_size,
				    .type = sh.sh_type,
				    .link = sh.sh_link,
				    .flags = sh.sh_flags};
	*name = sh.sh_name;
	return 0;
}

int elf_section(const struct elf_file *f, const char *name, struct elf_section *out)
{
	size_t len = strlen(name) + 1;
	struct elf_section strings;
	uint32_t at;
	char buf[64];

	if (len > sizeof(buf) || elf_section_at(f, f->shstrndx, &strings, &at) != 0)
		return -ENOENT;
	for (uint32_t i = 1; i < f->shnum; i++) {
		if (elf_section_at(f, i, out, &at) != 0)
			return -ENOENT;
		if (at >= strings.size || len > strings.size - at ||
		    strings.offset + at < strings.offset ||
		    elf_pread(f, strings.offset + at, buf, len) != 0)
			continue;
		if (memcmp(buf, name, len) == 0)
			return 0;
	}
	return -ENOENT;
}
