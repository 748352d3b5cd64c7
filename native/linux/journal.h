/* Placeholders on the host: who relies on which, written down so that a killed launcher's are found.
 *
 * One file a placeholder in the state directory, locked with flock(2): each launcher that relies on it holds a shared lock, and
 * only a holder of the exclusive lock makes or removes it. The journal only ever causes rmdir of an empty directory, or unlink of
 * a file or link that says what it was made with, whose device and inode are the recorded ones. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdbool.h>

#include "plan.h"

struct placeholder { int lock; char file[64]; struct identity identity; };

/* What is made at a missing name: an empty directory, or, where that would break what reads the name, a file with `text` or a
 * symbolic link to it. */
struct placeholder_kind { enum entry_kind entry; const char *text; };
enum { MOST_PLACEHOLDER_TEXT = 256 };

bool is_empty_directory(int base, const char *path);

/* Opens the state directory, which must exist. Returns a descriptor, or -1 with errno. */
int open_journal(const char *directory);

/* Removes what launchers that are gone have left. What cannot be removed stays written down. */
void sweep_journal(int journal);

/* Makes the object `name` in the directory `parent`, or joins another launcher that made it.
 * Returns 1 and fills `placeholder` where it is one; 0 where something else stands there by now; -1 with errno. */
int take_placeholder(int journal, int parent, const char *parent_path, const char *name, struct placeholder_kind kind,
		     struct placeholder *placeholder);

/* Whether anything is written down at all, by this or another launcher. */
bool journal_has_records(int journal);

/* Joins the launcher that made what stands at `name` in the directory `parent`, where one did, so that it stays as long as it is
 * relied on here. `object` says what that is where something is mounted on it; NULL: nothing is. Returns 1 and fills `placeholder`;
 * 0 where it is nobody's placeholder; -1 with errno EAGAIN where it was removed meanwhile. */
int join_placeholder(int journal, int parent, const char *name, const struct identity *object, struct placeholder *placeholder);

/* Whether the object, open as `object` from before anything was mounted on it, is still as it was made: empty, or with its text. */
bool is_as_made(const struct placeholder *placeholder, int object);

/* Gives it up; the last one removes it, if it still is the same and empty. Nothing may be mounted on it any more. */
void give_up_placeholder(int journal, int parent, const char *name, struct placeholder *placeholder);

#endif
