#include "machine.h"

#include <unistd.h>

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

int64_t first_level_bytes() {
    int64_t size = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    size = sysconf(_SC_LEVEL1_DCACHE_SIZE);
#endif
    return size > 0 ? size : 32 * 1024;
}

}  // namespace csrve
