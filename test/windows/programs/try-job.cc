// Makes a job as commands have it, and says which step failed. For tests only: no runner gets that far on a system that makes no tokens.
#include <stdio.h>

#include "../../../native/windows/failure.h"
#include "../../../native/windows/job.h"

int main()
{
	JobSpec spec;
	spec.flags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
	spec.processes = 2;
	spec.memory = 1 << 26;
	try {
		Job job(spec);
		printf("made\n");
		return 0;
	} catch (const StepFailure &failure) {
		printf("%s %lu\n", failure.step(), failure.code());
		return 1;
	}
}
