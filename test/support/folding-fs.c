/* A file system in memory that takes names for the same in any letter case, as Windows' drives in WSL and many shares do: one file, and for
 * the kernel another name for each spelling. Speaks FUSE's protocol by itself (include/uapi/linux/fuse.h); needs root to mount.
 *
 *     folding-fs FOLDER    mounts itself on FOLDER, prints "mounted", and serves until it is unmounted or its standard input ends */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MOST_NODES = 8192, LARGEST_WRITE = 65536 };

/* The root is node 1, FUSE_ROOT_ID. Numbers are never used again. `name` NULL: gone. */
static struct node {
	uint64_t parent;
	char *name, *data;
	uint64_t size;
	uint32_t mode, uid, gid;
	uint64_t mtime;
} nodes[MOST_NODES];
static uint64_t n_nodes = 2;

static int device;

static void reply(const struct fuse_in_header *in, int error, const void *body, size_t length)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof out + length), .error = -error, .unique = in->unique };
	struct iovec parts[] = { { &out, sizeof out }, { (void *)body, length } };

	/* ENOENT: nobody waits any more. */
	if (writev(device, parts, 2) < 0 && errno != ENOENT)
		perror("folding-fs: reply");
}

/* In any letter case, and the long s (U+017F) for an s: what Windows folds of ASCII, and Linux's casefold beyond it. */
static void fold(const char *name, char folded[256])
{
	size_t n = 0;

	for (; *name != 0 && n < 255; name++) {
		if ((unsigned char)name[0] == 0xc5 && (unsigned char)name[1] == 0xbf) {
			folded[n++] = 's';
			name++;
		} else {
			folded[n++] = (char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
		}
	}
	folded[n] = 0;
}

static uint64_t find(uint64_t parent, const char *name)
{
	char wanted[256], found[256];

	fold(name, wanted);
	for (uint64_t id = 2; id < n_nodes; id++) {
		if (nodes[id].name == NULL || nodes[id].parent != parent)
			continue;
		fold(nodes[id].name, found);
		if (strcmp(wanted, found) == 0)
			return id;
	}
	return 0;
}

static int has_children(uint64_t parent)
{
	for (uint64_t id = 2; id < n_nodes; id++)
		if (nodes[id].name != NULL && nodes[id].parent == parent)
			return 1;
	return 0;
}

static struct fuse_attr attributes_of(uint64_t id)
{
	const struct node *node = &nodes[id];

	return (struct fuse_attr){ .ino = id, .size = node->size, .blocks = (node->size + 511) / 512, .mtime = node->mtime, .ctime = node->mtime, .atime = node->mtime,
				   .mode = node->mode, .nlink = S_ISDIR(node->mode) ? 2 : 1, .uid = node->uid, .gid = node->gid, .blksize = 4096 };
}

/* Nothing may be remembered: a name is gone in all of its spellings at once. */
static void reply_entry(const struct fuse_in_header *in, uint64_t id)
{
	struct fuse_entry_out entry = { .nodeid = id, .attr = attributes_of(id) };

	reply(in, 0, &entry, sizeof entry);
}

static uint64_t make(const struct fuse_in_header *in, const char *name, uint32_t mode)
{
	struct node *node = &nodes[n_nodes];

	if (n_nodes == MOST_NODES || strlen(name) > 255)
		return 0;
	*node = (struct node){ .parent = in->nodeid, .name = strdup(name), .mode = mode, .uid = in->uid, .gid = in->gid, .mtime = (uint64_t)time(NULL) };
	return n_nodes++;
}

static void make_entry(const struct fuse_in_header *in, const char *name, uint32_t mode, const char *target)
{
	uint64_t id = find(in->nodeid, name) != 0 ? 0 : make(in, name, mode);

	if (id == 0) {
		reply(in, EEXIST, NULL, 0);
		return;
	}
	if (target != NULL) {
		nodes[id].data = strdup(target);
		nodes[id].size = strlen(target);
	}
	reply_entry(in, id);
}

static void set_size(struct node *node, uint64_t size)
{
	node->data = realloc(node->data, size + 1);
	if (size > node->size)
		memset(node->data + node->size, 0, size - node->size);
	node->size = size;
	node->mtime = (uint64_t)time(NULL);
}

static void remove_entry(const struct fuse_in_header *in, const char *name, int is_folder)
{
	uint64_t id = find(in->nodeid, name);
	int error = id == 0 ? ENOENT : is_folder != S_ISDIR(nodes[id].mode) ? (is_folder ? ENOTDIR : EISDIR) : is_folder && has_children(id) ? ENOTEMPTY : 0;

	if (error == 0) {
		free(nodes[id].name);
		nodes[id].name = NULL;
	}
	reply(in, error, NULL, 0);
}

static void rename_entry(const struct fuse_in_header *in, uint64_t new_parent, uint32_t flags, const char *from)
{
	const char *to = from + strlen(from) + 1;
	uint64_t id = find(in->nodeid, from), other = find(new_parent, to);

	if (id == 0 || (flags & ~1U) != 0 || (other != 0 && other != id && ((flags & 1) || (S_ISDIR(nodes[other].mode) && has_children(other))))) {
		reply(in, id == 0 ? ENOENT : (flags & ~1U) ? EINVAL : (flags & 1) ? EEXIST : ENOTEMPTY, NULL, 0);
		return;
	}
	if (other != 0 && other != id) {
		free(nodes[other].name);
		nodes[other].name = NULL;
	}
	free(nodes[id].name);
	nodes[id].name = strdup(to);
	nodes[id].parent = new_parent;
	reply(in, 0, NULL, 0);
}

static void read_folder(const struct fuse_in_header *in, const struct fuse_read_in *want)
{
	static char bytes[LARGEST_WRITE];
	size_t length = 0;

	for (uint64_t id = want->offset < 2 ? 2 : want->offset; id < n_nodes; id++) {
		struct fuse_dirent *entry = (struct fuse_dirent *)(bytes + length);
		size_t name_length = nodes[id].name == NULL ? 0 : strlen(nodes[id].name), size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name_length);

		if (nodes[id].name == NULL || nodes[id].parent != in->nodeid)
			continue;
		if (length + size > want->size || length + size > sizeof bytes)
			break;
		memset(entry, 0, size);
		*entry = (struct fuse_dirent){ .ino = id, .off = id + 1, .namelen = (uint32_t)name_length, .type = nodes[id].mode >> 12 };
		memcpy(entry->name, nodes[id].name, name_length);
		length += size;
	}
	reply(in, 0, bytes, length);
}

static void set_attributes(const struct fuse_in_header *in, const struct fuse_setattr_in *set)
{
	struct node *node = &nodes[in->nodeid];
	struct fuse_attr_out out = { 0 };

	if (set->valid & FATTR_SIZE)
		set_size(node, set->size);
	if (set->valid & FATTR_MODE)
		node->mode = (node->mode & S_IFMT) | (set->mode & 07777);
	if (set->valid & FATTR_UID)
		node->uid = set->uid;
	if (set->valid & FATTR_GID)
		node->gid = set->gid;
	if (set->valid & FATTR_MTIME)
		node->mtime = set->valid & FATTR_MTIME_NOW ? (uint64_t)time(NULL) : set->mtime;
	out.attr = attributes_of(in->nodeid);
	reply(in, 0, &out, sizeof out);
}

static void serve(const struct fuse_in_header *in, const void *body)
{
	struct node *node = &nodes[in->nodeid < MOST_NODES ? in->nodeid : 0];

	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = LARGEST_WRITE, .max_readahead = LARGEST_WRITE, .max_background = 16, .congestion_threshold = 12 };

		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_LOOKUP: {
		uint64_t id = find(in->nodeid, body);

		if (id == 0)
			reply(in, ENOENT, NULL, 0);
		else
			reply_entry(in, id);
		break;
	}
	case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_INTERRUPT:
		break;
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = attributes_of(in->nodeid) };

		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_SETATTR:
		set_attributes(in, body);
		break;
	case FUSE_READLINK:
		reply(in, 0, node->data, node->size);
		break;
	case FUSE_SYMLINK: {
		const char *name = body;

		make_entry(in, name, S_IFLNK | 0777, name + strlen(name) + 1);
		break;
	}
	case FUSE_MKNOD: {
		const struct fuse_mknod_in *want = body;

		make_entry(in, (const char *)(want + 1), want->mode, NULL);
		break;
	}
	case FUSE_MKDIR: {
		const struct fuse_mkdir_in *want = body;

		make_entry(in, (const char *)(want + 1), S_IFDIR | (want->mode & 07777), NULL);
		break;
	}
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		remove_entry(in, body, in->opcode == FUSE_RMDIR);
		break;
	case FUSE_RENAME: {
		const struct fuse_rename_in *want = body;

		rename_entry(in, want->newdir, 0, (const char *)(want + 1));
		break;
	}
	case FUSE_RENAME2: {
		const struct fuse_rename2_in *want = body;

		rename_entry(in, want->newdir, want->flags, (const char *)(want + 1));
		break;
	}
	case FUSE_CREATE: {
		const struct fuse_create_in *want = body;
		const char *name = (const char *)(want + 1);
		uint64_t id = find(in->nodeid, name);
		struct { struct fuse_entry_out entry; struct fuse_open_out open; } out = { 0 };

		if (id == 0)
			id = make(in, name, want->mode);
		if (id == 0) {
			reply(in, ENOSPC, NULL, 0);
			break;
		}
		out.entry = (struct fuse_entry_out){ .nodeid = id, .attr = attributes_of(id) };
		out.open.open_flags = FOPEN_DIRECT_IO;
		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_OPEN: case FUSE_OPENDIR: {
		/* Pages are kept nowhere but here; running a program maps them all the same. */
		struct fuse_open_out out = { 0 };

		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_READ: {
		const struct fuse_read_in *want = body;
		uint64_t left = want->offset >= node->size ? 0 : node->size - want->offset;

		reply(in, 0, node->data == NULL ? NULL : node->data + want->offset, left < want->size ? left : want->size);
		break;
	}
	case FUSE_WRITE: {
		const struct fuse_write_in *want = body;
		struct fuse_write_out out = { .size = want->size };

		if (want->offset + want->size > node->size)
			set_size(node, want->offset + want->size);
		memcpy(node->data + want->offset, want + 1, want->size);
		node->mtime = (uint64_t)time(NULL);
		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_READDIR:
		read_folder(in, body);
		break;
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .blocks = 1 << 20, .bfree = 1 << 20, .bavail = 1 << 20, .files = MOST_NODES, .bsize = 4096, .namelen = 255, .frsize = 4096 } };

		reply(in, 0, &out, sizeof out);
		break;
	}
	case FUSE_RELEASE: case FUSE_RELEASEDIR: case FUSE_FLUSH: case FUSE_FSYNC: case FUSE_FSYNCDIR:
		reply(in, 0, NULL, 0);
		break;
	default:
		reply(in, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[LARGEST_WRITE + 4096];
	char options[128];

	if (argc != 2)
		return 125;
	nodes[FUSE_ROOT_ID] = (struct node){ .mode = S_IFDIR | 0755, .uid = getuid(), .gid = getgid(), .name = "", .mtime = (uint64_t)time(NULL) };
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", device, getuid(), getgid());
	if (device < 0 || mount("folding", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
		perror("folding-fs: mount");
		return 1;
	}
	puts("mounted");
	fflush(stdout);
	for (;;) {
		struct pollfd waits[] = { { device, POLLIN, 0 }, { 0, POLLIN, 0 } };
		ssize_t length;

		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			break;
		if (waits[1].revents != 0)
			break;
		length = read(device, request, sizeof request);
		if (length < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (length < (ssize_t)sizeof(struct fuse_in_header))
			break;	/* ENODEV: it was unmounted */
		request[length] = 0;
		serve((const struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	}
	umount2(argv[1], MNT_DETACH);
	return 0;
}
