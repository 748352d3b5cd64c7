/* What this host offers, by trying each layer in a process of its own. */
#ifndef PROBE_H
#define PROBE_H

/* Prints a line a fact on standard output, `name value`; a negative value is an errno. Changes nothing. Returns the exit code. */
int run_probe(void);

#endif
