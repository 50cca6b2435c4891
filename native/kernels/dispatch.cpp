#include "kernels/kernels.h"

#ifdef GADFLY_ARM
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace gadfly {

std::vector<const Kernels*> available_kernels() {
    std::vector<const Kernels*> found;
#ifdef GADFLY_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512vnni = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512vnni");
    if (avx2 && avx512vnni) found.push_back(&avx512vnni_kernels());
    if (avx2) found.push_back(&avx2_kernels());
#endif
#ifdef GADFLY_ARM
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found.push_back(&neon_kernels());
#endif
    found.push_back(&portable_kernels());
    return found;
}

}  // namespace gadfly
