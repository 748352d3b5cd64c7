// Access lists of single files, folders and links, by handle: what a path leads to is never followed, and nothing below is touched.
#pragma once

#include <napi.h>

/* readObject, replaceList. */
void register_objects(Napi::Env env, Napi::Object exports);
