// Which instruction sets this processor runs, and the kernels compiled for them.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace csrve {

// The fastest first.
std::vector<const Kernels*> runnable_kernels();

// By name, or the fastest where the name is empty; null where the machine cannot run them or they are not compiled in.
const Kernels* find_kernels(const std::string& name);

// Of the first-level data cache of a core, or 32 KiB where the system does not say.
int64_t first_level_bytes();

}  // namespace csrve
