/* What of the kernel's interface the libc headers of the oldest supported build machine lack.
 * Sources: include/uapi/linux/{landlock,mount,openat2,stat,seccomp}.h. The system call numbers are the same on all
 * architectures since 424. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdint.h>

#ifndef _GNU_SOURCE
#error "build with -D_GNU_SOURCE"
#endif

#define NR_io_uring_setup 425
#define NR_io_uring_enter 426
#define NR_io_uring_register 427
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_fspick 433
#define NR_pidfd_send_signal 424
#define NR_pidfd_open 434
#define NR_close_range 436
#define CLOSE_RANGE_UNSHARE_ (1U << 1)
#define NR_openat2 437
#define NR_pidfd_getfd 438
#define NR_mount_setattr 442
#define NR_quotactl_fd 443
#define NR_fchmodat2 452
#define NR_setxattrat 463
#define NR_removexattrat 466
#define NR_landlock_create_ruleset 444
#define NR_landlock_add_rule 445
#define NR_landlock_restrict_self 446
#define NR_open_tree_attr 467
/* Of those before 424, the numbers are each architecture's own. */
#if defined(__x86_64__)
#define NR_kexec_file_load 320
#else
#define NR_kexec_file_load 294
#endif

#define OPEN_TREE_CLONE_ 1
#define AT_RECURSIVE_ 0x8000
#define AT_EMPTY_PATH_ 0x1000
#define AT_SYMLINK_NOFOLLOW_ 0x100
#define AT_NO_AUTOMOUNT_ 0x800
#define MOVE_MOUNT_F_EMPTY_PATH_ 0x04
#define MOVE_MOUNT_T_EMPTY_PATH_ 0x40
#define FSCONFIG_SET_STRING_ 1
#define FSCONFIG_CMD_CREATE_ 6

#define MOUNT_ATTR_RDONLY_ 0x1
#define MOUNT_ATTR_NOSUID_ 0x2
#define MOUNT_ATTR_NODEV_ 0x4
#define MOUNT_ATTR_NOEXEC_ 0x8
struct mount_attributes { uint64_t set, clear, propagation, userns_fd; };

#define RESOLVE_NO_MAGICLINKS_ 0x02
#define RESOLVE_NO_SYMLINKS_ 0x04
struct open_how_ { uint64_t flags, mode, resolve; };

#define STATX_INO_ 0x100
#define STATX_TYPE_MODE_ 0x3
#define STATX_MNT_ID_ 0x1000
#define STATX_ATTR_MOUNT_ROOT_ 0x2000
struct statx_ {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	uint64_t times[8];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mount_id, spare[13];
};

#define LANDLOCK_CREATE_RULESET_VERSION_ 1
#define LANDLOCK_CREATE_RULESET_ERRATA_ 2
#define LANDLOCK_RULE_PATH_BENEATH_ 1
#define LANDLOCK_EXECUTE_ (1ULL << 0)
#define LANDLOCK_REFER_ (1ULL << 13)
#define LANDLOCK_TRUNCATE_ (1ULL << 14)
#define LANDLOCK_ON_FILE_ (1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 14 | 1ULL << 15 | 1ULL << 16)	/* execute, write_file, read_file, truncate, ioctl_dev, resolve_unix */
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET_ (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL_ (1ULL << 1)
struct landlock_ruleset_attr_ { uint64_t handled_access_fs, handled_access_net, scoped; };
#define LANDLOCK_RULE_NET_PORT_ 2
#define LANDLOCK_CONNECT_TCP_ (1ULL << 1)
struct landlock_net_port_attr_ { uint64_t allowed_access, port; };
struct landlock_path_beneath_attr_ { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));

#define SECCOMP_SET_MODE_FILTER_ 1
#define SECCOMP_FILTER_FLAG_NEW_LISTENER_ (1UL << 3)
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV_ (1UL << 5)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS_ 0x40082104UL	/* _IOW('!', 4, __u64) */

#define PIDFD_THREAD_ 0x80	/* O_EXCL */
#define PIDFD_SIGNAL_THREAD_ 1

/* dev_t as stat(2) and Node give it, from statx's two halves. */
static inline uint64_t device_number(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | ((uint64_t)(major & 0xfff) << 8) | ((uint64_t)(minor & ~0xffU) << 12) |
	       ((uint64_t)(major & ~0xfffU) << 32);
}

#endif
