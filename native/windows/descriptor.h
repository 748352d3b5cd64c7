// Security descriptors of objects that this process makes, and what the system holds of them.
#pragma once

#include <windows.h>

#include <accctrl.h>

#include <string>

#include "handle.h"

class Descriptor {
public:
	/* Throws StepFailure `parse_descriptor`; also for a list that is absent or null, as that would let everybody do everything. */
	explicit Descriptor(const std::wstring &sddl);
	PSECURITY_DESCRIPTOR get() const { return descriptor_.get(); }
	PACL list() const { return list_; }

private:
	Local<PSECURITY_DESCRIPTOR> descriptor_;
	PACL list_ = nullptr;
};

/* Throws StepFailure `step` where the object's list is another one than that of `wanted`. */
void read_back_list(HANDLE object, SE_OBJECT_TYPE type, const Descriptor &wanted, const char *step);

/* Puts that list, and no inherited entry, on an object of the kernel's, and reads it back. Throws StepFailure `step`. */
void protect_object(HANDLE object, const Descriptor &wanted, const char *step);
