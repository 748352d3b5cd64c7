/* The plan as the launcher has it: a decoded copy of what src/platform/linux/native/plan-codec.ts encodes.
 *
 * Encoding, little-endian, no padding: u8 u16 u32 u64; a string is u32 length and that many bytes without NUL;
 * an identity is u64 device, u64 inode (both 0: not compared).
 *
 *   a rule is u64 allowed, string path, identity.
 *
 *   plan     u32 magic 0x31585343 ("CSX1"), u32 version 5, u32 flags (PLAN_*), u32 uid, u32 gid, string state directory,
 *            string cwd path, identity cwd,
 *            u32 n mounts { u8 kind (MOUNT_*), u8 entry kind (ENTRY_*; of a read-only bind what stands there where the host
 *                           takes it away: ENTRY_MISSING for nothing), u8 effect (EFFECT_*), string path,
 *                           identity (of the parent directory for a placeholder),
 *                           string text (a placeholder's content or target, also of one that stands for what is gone),
 *                           u32 n openings { u8 effect, string path, identity } },
 *            u32 n devices { string path },
 *            u64 scopes, u64 handled net, u64 handled fs, u64 allowed on /proc,
 *            u32 n rules { rule },
 *            string command filter, string listener filter (empty: none),
 *            string control group in which the sandbox makes its own (empty: none),
 *            u8 base (EFFECT_*), u32 n path rules { u8 effect, string path, u8 folds letter case },
 *            u64 outer handled net, u32 n outer rules { rule }, u32 n readable trees { rule, u32 n closed { string path } },
 *            u32 n listeners { u8 kind (LISTENER_*), u32 port (0: any) },
 *            u8 unix sockets (SOCKETS_*), u32 n { string path, identity (of a socket that commands could replace) }
 *   command  u32 flags (COMMAND_*), u16 rows, u16 columns, string cwd path, identity cwd,
 *            u64 memory bytes, u64 pids, u64 cpu seconds, u64 open files, u64 file size bytes (each 0: no limit),
 *            u32 argc { string }, u32 envc { string }
 */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLAN_MAGIC = 0x31585343, PLAN_VERSION = 5 };
enum plan_flag {
	PLAN_PRIVATE_NETWORK = 1,
	PLAN_LANDLOCK = 2,		/* scopes and net */
	PLAN_LANDLOCK_FILES = 4,	/* file rules, in each command */
	PLAN_OWN_PROC = 8,		/* each command mounts a /proc of its own */
	PLAN_GROUP_MEMORY = 16,		/* commands may ask for a control group that holds their memory, */
	PLAN_GROUP_PIDS = 32,		/* or the number of their processes */
	PLAN_SUPERVISED = 64,		/* no namespaces: Landlock and the launcher hold the rules; no mounts */
	PLAN_NO_NETWORK = 128,		/* the network is off without a namespace of its own */
	PLAN_MAKE_SOCKETS = 256,	/* descriptors of commands cannot be taken: the launcher makes their sockets */
	PLAN_OBSERVE = 512,		/* calls that have a handler are looked at too, where it leaves them to the kernel */
	PLAN_GROUP_ENDS = 1024,		/* every command has a control group, which ends it and all that it started */
	PLAN_INSIDE = 2048,		/* bwrap made the namespaces and the mounts, and nobody in them has a capability */
	PLAN_OBSERVE_READS = 4096,	/* with PLAN_OBSERVE: opens for reading too */
	PLAN_READS_IN_ROOTS = 8192,	/* with PLAN_SUPERVISED: something in a writable root is closed to reading, so the launcher opens there */
};
enum listener_kind { LISTENER_PROXY = 1, LISTENER_LOCAL_PORT };
enum socket_flag { SOCKETS_ALL = 1, SOCKETS_OF_ROOT = 2 /* docker's and its like, where a path or SOCKETS_ALL has them */ };
enum mount_kind { MOUNT_BIND_WRITABLE = 1, MOUNT_BIND_READ_ONLY, MOUNT_MASK, MOUNT_PIN, MOUNT_PLACEHOLDER, MOUNT_WATCH, MOUNT_PRIVATE_DIRECTORY };
enum entry_kind { ENTRY_MISSING = 0, ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_SYMLINK, ENTRY_SOCKET, ENTRY_FIFO, ENTRY_DEVICE };
enum effect { EFFECT_WRITE = 1, EFFECT_READ, EFFECT_DENY };
enum command_flag { COMMAND_TERMINAL = 1, COMMAND_STDIN_PIPE = 2, COMMAND_REPORT_START = 4 /* STARTED is wanted */,
	COMMAND_GROUP_MEMORY = 8, COMMAND_GROUP_PIDS = 16 /* these limits are a control group's to hold */, COMMAND_GROUP = 8 | 16,
	COMMAND_KEEP = 32 /* what it leaves behind goes on when it ends */,

	COMMAND_HELPER = 64 /* the program is the launcher's own (helper.h); argv says which part of it */ };

struct identity { uint64_t device, inode; };

struct opening { enum effect effect; char *path; struct identity identity; };

struct mount_step {
	enum mount_kind kind;
	enum entry_kind entry;
	enum effect effect;
	char *path;
	struct identity identity;
	char *text;
	uint32_t n_openings;
	struct opening *openings;
};

struct landlock_rule { uint64_t allowed; char *path; struct identity identity; };

/* Of the rules at or above a path the last one decides. */
struct path_rule { enum effect effect; bool folds_case; char *path; };

/* Readable but for `closed`, which lie below it. */
struct readable_tree { struct landlock_rule rule; uint32_t n_closed; char **closed; };

/* In the sandbox's own network namespace, or, of the proxy's, on the host's loopback where there is none. */
struct listener { enum listener_kind kind; uint16_t port; };

/* A unix socket made outside that commands may connect to, or a folder of them. */
struct allowed_socket { char *path; struct identity identity; };

struct filter { uint32_t length; const void *program; };	/* length in instructions */

struct plan {
	uint32_t flags, uid, gid;
	char *state_directory;
	char *cwd;
	struct identity cwd_identity;
	uint32_t n_mounts;
	struct mount_step *mounts;
	uint32_t n_devices;
	char **devices;
	uint64_t scopes, handled_net, handled_fs, proc_rights;
	uint32_t n_rules;
	struct landlock_rule *rules;
	struct filter command_filter, listener_filter;
	char *group;
	/* With PLAN_SUPERVISED. `rules` are the inner domain's, that of commands; these the outer one's, that of the monitor too. */
	enum effect base;
	uint32_t n_path_rules;
	struct path_rule *path_rules;
	uint64_t outer_handled_net;
	uint32_t n_outer_rules;
	struct landlock_rule *outer_rules;
	uint32_t n_trees;
	struct readable_tree *trees;
	uint32_t n_listeners;
	struct listener *listeners;	/* their ports are filled in when they are made */
	uint32_t socket_flags, n_sockets;
	struct allowed_socket *sockets;
};

struct limits { uint64_t memory_bytes, pids, cpu_seconds, open_files, file_size_bytes; };

struct command {
	uint32_t flags;
	uint16_t rows, columns;
	char *cwd;
	struct identity cwd_identity;
	struct limits limits;
	uint32_t argc, envc;
	char **argv, **envp;		/* both NULL-terminated */
};

/* Whether commands share one PID and one mount namespace with each other and with the launcher, as nobody may make more. Landlock keeps
 * them apart then. */
static inline bool shares_processes(const struct plan *plan)
{
	return (plan->flags & (PLAN_SUPERVISED | PLAN_INSIDE)) != 0;
}

/* Decodes `size` bytes at `data`, which must stay: filters point into it, strings into a block of its own that lives as long as
 * the process. Returns 0; -EBADMSG where a length, a kind or a string does not fit; -ENOMEM. */
int decode_plan(const void *data, size_t size, struct plan *plan);

/* The same for a command, into `memory` of at least command_memory(size) bytes, aligned to 8. Touches neither errno nor the heap:
 * an init that shares the forker's memory runs it. `script` gets room for argv and two more. */
size_t command_memory(size_t size);
int decode_command(const void *data, size_t size, struct command *command, void *memory, const char ***script);

#endif
