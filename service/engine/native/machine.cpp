#include "machine.h"

namespace csrve {

#if !defined(CSRVE_HAS_X86)
const Kernels* avx2_kernels() { return nullptr; }
const Kernels* avx512_kernels() { return nullptr; }
#endif

std::vector<const Kernels*> runnable_kernels() {
    std::vector<const Kernels*> found;
#if defined(CSRVE_HAS_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        found.push_back(avx512_kernels());
    if (avx2) found.push_back(avx2_kernels());
#endif
    found.push_back(plain_kernels());
    return found;
}

const Kernels* find_kernels(const std::string& name) {
    for (const Kernels* kernels : runnable_kernels())
        if (name.empty() || name == kernels->name) return kernels;
    return nullptr;
}

}  // namespace csrve
