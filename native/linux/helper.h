/* Parts of the launcher's program that run inside, as ordinary commands of a sandbox: what they may do is what any command may.
 * They speak with Node through their standard streams, and trust nothing about it but its bytes' form. */
#ifndef HELPER_H
#define HELPER_H

/* The program as a file of its own that nobody can write, find by a name, or keep from running by a rule about paths.
 * Returns a descriptor for execveat(2), or -1 with errno. */
int open_helper(void);

/* files.c: file work for the embedding process (file-operations.def). Returns an exit code when stdin is at its end. */
int serve_files(void);

/* relay.c: between the standard streams and a TCP port of the sandbox's own loopback. Returns an exit code. */
int relay_to(const char *port);

/* relay.c: between the standard streams and a connection, until both sides are at their end. Returns an exit code. */
int carry_streams(int connection);

/* through-proxy.c: the same with a connection that the sandbox's proxy makes. Not started by Node: commands run it by its name. */
int connect_through_proxy(const char *host, const char *port);

#endif
