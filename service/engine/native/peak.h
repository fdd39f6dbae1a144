// The machine's peak, which what an engine reaches is compared with.
#pragma once

#include <string>

namespace csrve {

// Multiply-adds a second that so many threads do together in registers alone: the best of the tries that fit the time.
// Throws std::invalid_argument where the machine cannot run that instruction set ("" is the fastest).
double peak_multiply_adds(const std::string& instruction_set, int threads, double seconds);

}  // namespace csrve
