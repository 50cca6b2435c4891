#define GADFLY_VNNI 1
#include "kernels/table.h"

namespace gadfly {

const Kernels& avx512vnni_kernels() {
    static constexpr Kernels kernels = kernels_named("avx512vnni");
    return kernels;
}

}  // namespace gadfly
