// The package's version, which the code that loads the addon compares: an addon of another version is not loaded.
#pragma once

#ifndef CODEX_SANDBOX_VERSION
#error "the build gives CODEX_SANDBOX_VERSION, as package.json has it"
#endif

#define CODEX_SANDBOX_TEXT_OF(x) #x
#define CODEX_SANDBOX_TEXT(x) CODEX_SANDBOX_TEXT_OF(x)
#define CODEX_SANDBOX_VERSION_TEXT CODEX_SANDBOX_TEXT(CODEX_SANDBOX_VERSION)
