// The security descriptor of what stands at a path, as text in which every SID is in full. Reads only.
#pragma once

#include <napi.h>

/* readDescriptor. */
void register_descriptor_text(Napi::Env env, Napi::Object exports);
