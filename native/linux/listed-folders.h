/* Folders on the way to a denied path: commands may list them, but no rule of Landlock's could say so; and what lies in one was looked at
 * when the rules were made. */
#ifndef LISTED_FOLDERS_H
#define LISTED_FOLDERS_H

#include <stdbool.h>
#include <sys/stat.h>

/* From here on folders are noted anew; the ones before count until `use_noted_folders`. */
void note_folders_anew(void);

/* The folder that `fd` is open on. Returns 0, or -1 with errno. */
int note_listed_folder(int fd);

void use_noted_folders(void);

/* Asked by any thread. */
bool is_listed_folder(const struct stat *folder);

/* Whether something was made, removed or renamed in one since it was noted; it may say so once too often. */
bool have_listed_folders_changed(void);

#endif
