// Starts a runner as another account, over a named pipe that only that account may open, and passes frames on.
#pragma once

#include "channel.h"

/* Until one of the two sides is gone; the runner then ends, and with it all that it runs. Throws StepFailure, Malformed. */
void broker(Channel &channel);
