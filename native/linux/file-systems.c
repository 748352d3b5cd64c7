#include "file-systems.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

/* Source: linux/magic.h, and fs/…/ where it has none. */
static const uint32_t SERVED[] = {
	0x65735546 /* fuse */, 0x6969 /* nfs */, 0xfe534d42 /* smb */, 0xff534d42 /* cifs */, 0x517b /* older smb */, 0x01021997 /* 9p */,
	0x00c36400 /* ceph */, 0x5346414f /* afs */, 0x6b414653 /* kafs */, 0x73757245 /* coda */,
};
static const uint32_t KERNELS_OWN[] = {
	PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC, SMACK_MAGIC,
	BPF_FS_MAGIC, NSFS_MAGIC, BINFMTFS_MAGIC, EFIVARFS_MAGIC, DEVPTS_SUPER_MAGIC, 0x62656570 /* configfs */, 0x6165676c /* pstore */,
};

static bool is_one_of(const struct statfs *file_system, const uint32_t *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint32_t)file_system->f_type == types[i])
			return true;
	return false;
}

bool is_served(int fd)
{
	struct statfs file_system;

	return fstatfs(fd, &file_system) != 0 || is_one_of(&file_system, SERVED, sizeof SERVED / sizeof SERVED[0]);
}

bool is_served_at(const char *path)
{
	struct statfs file_system;

	return statfs(path, &file_system) != 0 || is_one_of(&file_system, SERVED, sizeof SERVED / sizeof SERVED[0]);
}

bool is_kernels_own(int fd)
{
	struct statfs file_system;

	return fstatfs(fd, &file_system) != 0 || is_one_of(&file_system, KERNELS_OWN, sizeof KERNELS_OWN / sizeof KERNELS_OWN[0]);
}
